package simulator

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"time"
)

// newPhoneCode is a tap on <button open-type="getPhoneNumber">.
func (s *Site) newPhoneCode(r *http.Request) (any, error) {
	q := r.URL.Query()
	m, err := s.findMember(q.Get("appid"), q.Get("user"))
	if err != nil {
		return nil, err
	}
	text := randomHex(32)
	s.Server.phones.GetOrAdd(text, func() *code { return &code{appID: m.appID, user: User{Name: m.name}} })
	return map[string]string{"code": text}, nil
}

// phoneNumber answers getuserphonenumber.
func (s *Site) phoneNumber(r *http.Request) (map[string]any, int) {
	appID, live := s.Server.tokens.appOf(r.URL.Query().Get("access_token"))
	if !live {
		return nil, 40001
	}
	var form struct {
		Code   string `json:"code"`
		OpenID string `json:"openid"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(&form); err != nil {
		return nil, 47001
	}
	c, found := s.Server.phones.Get(form.Code)
	if !found {
		return nil, 40029
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.appID != appID:
		return nil, 40013
	case c.used, form.OpenID != "" && form.OpenID != openID(appID, c.user.Name):
		return nil, 40029
	}
	c.used = true
	number := fmt.Sprintf("139%08d", crc32.ChecksumIEEE([]byte(c.user.Name))%1e8)
	fields := ok()
	fields["phone_info"] = map[string]any{
		"phoneNumber": number, "purePhoneNumber": number, "countryCode": "86",
		"watermark": map[string]any{"timestamp": time.Now().Unix(), "appid": appID},
	}
	return fields, 0
}
