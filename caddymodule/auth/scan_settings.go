package auth

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Scan is the Mini Program that logs desktops in.
type Scan struct {
	// The AppID of the Mini Program, one of the site's.
	App string `json:"app,omitempty"`

	// The page that asks its user, as in the Mini Program's `app.json`: without a slash
	// before it, and without a query. Its `scene` names the desktop.
	Page string `json:"page,omitempty"`

	// Which version of the Mini Program the code opens: `release`, or `trial` or
	// `develop` for people who work on it.
	// Default: `release`
	Version string `json:"version,omitempty"`
}

const (
	scanRelease = "release"
	scanTrial   = "trial"
	scanDevelop = "develop"

	maxPagePath = 128
)

var pagePath = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$`)

// check validates the settings that depend on nothing else.
func (s *Scan) check() error {
	switch {
	case s == nil:
		return nil
	case s.App == "":
		return errors.New("names no app; write `scan <appid> <page>`")
	case s.Page == "":
		return errors.New("names no page; write `scan <appid> <page>`")
	case strings.HasPrefix(s.Page, "/"):
		return fmt.Errorf("page %q: WeChat wants it without the slash before it, such as pages/scan/scan", s.Page)
	case len(s.Page) > maxPagePath || !pagePath.MatchString(s.Page):
		return fmt.Errorf("page %q: must be a page of the Mini Program as in its app.json, such as pages/scan/scan", s.Page)
	}
	switch s.Version {
	case "", scanRelease, scanTrial, scanDevelop:
		return nil
	}
	return fmt.Errorf("version %q must be %s, %s or %s", s.Version, scanRelease, scanTrial, scanDevelop)
}
