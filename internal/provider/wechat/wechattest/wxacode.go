package wechattest

import (
	"slices"
	"strings"
)

// CodeForm is the body of a call of getwxacodeunlimit.
type CodeForm struct {
	Scene      string `json:"scene"`
	Page       string `json:"page"`
	EnvVersion string `json:"env_version"`
	CheckPath  *bool  `json:"check_path"`
	Width      int    `json:"width"`
}

// Picture is what the fake draws for a scene: no real JPEG, but it begins like one.
func Picture(scene string) string { return "\xff\xd8\xff\xe0" + scene }

// CodeForms returns the body of every call of getwxacodeunlimit so far.
func (s *Server) CodeForms() []CodeForm {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.codeForms)
}

func codePicture(accessToken string, form CodeForm, problem *Answer) Answer {
	switch {
	case problem != nil:
		return *problem
	case !strings.HasPrefix(accessToken, "access_token_of_"):
		return Errcode(40001)
	case form.Scene == "" || len(form.Scene) > 32:
		return Errcode(40169)
	case form.Page == "" || strings.HasPrefix(form.Page, "/"):
		return Errcode(41030)
	case form.Width < 280 || form.Width > 1280:
		return Errcode(40097)
	}
	return Answer{ContentType: "image/jpeg", Body: Picture(form.Scene)}
}
