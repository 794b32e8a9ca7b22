package simulator

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"
)

const (
	maxKept     = 128 // pairs of a user
	maxKeptSize = 1024
)

type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// setStorage keeps pairs of a user ("setUserStorage").
func setStorage(m *member, body []byte) (map[string]any, int) {
	var form struct {
		List []pair `json:"kv_list"`
	}
	if json.Unmarshal(body, &form) != nil {
		return nil, 47001
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := maps.Clone(m.kept)
	if kept == nil {
		kept = make(map[string]string)
	}
	for _, p := range form.List {
		if p.Key == "" || len(p.Key)+len(p.Value) > maxKeptSize {
			return nil, 87011
		}
		kept[p.Key] = p.Value
	}
	if len(form.List) == 0 || len(kept) > maxKept {
		return nil, 87011
	}
	m.kept = kept
	return ok(), 0
}

func removeStorage(m *member, body []byte) (map[string]any, int) {
	var form struct {
		Keys []string `json:"key"`
	}
	if json.Unmarshal(body, &form) != nil {
		return nil, 47001
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range form.Keys {
		delete(m.kept, key)
	}
	return ok(), 0
}

// showStorage is wx.getUserCloudStorage of a user.
func (s *Site) showStorage(r *http.Request) (any, error) {
	q := r.URL.Query()
	m, err := s.findMember(q.Get("appid"), q.Get("user"))
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []pair{}
	for _, key := range slices.Sorted(maps.Keys(m.kept)) {
		list = append(list, pair{key, m.kept[key]})
	}
	return map[string]any{"KVDataList": list}, nil
}

// newEncryptedData is what wx.getWeRunData and others give a page: data of the
// user's, with a watermark, under the session_key.
func (s *Site) newEncryptedData(r *http.Request) (any, error) {
	var form struct {
		AppID string         `json:"appid"`
		User  string         `json:"user"`
		Data  map[string]any `json:"data"`
	}
	if err := decode(r, &form); err != nil {
		return nil, err
	}
	m, err := s.findMember(form.AppID, form.User)
	if err != nil {
		return nil, err
	}
	if form.Data == nil {
		form.Data = make(map[string]any)
	}
	form.Data["watermark"] = map[string]any{"timestamp": time.Now().Unix(), "appid": m.appID}
	plain, err := json.Marshal(form.Data)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(m.sessionKey())
	if err != nil {
		return nil, errors.New("no session_key")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errors.New("no session_key")
	}
	n := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(plain, bytes.Repeat([]byte{byte(n)}, n)...)
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv) // never fails since Go 1.24
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	return map[string]string{
		"encryptedData": base64.StdEncoding.EncodeToString(plain), "iv": base64.StdEncoding.EncodeToString(iv),
	}, nil
}
