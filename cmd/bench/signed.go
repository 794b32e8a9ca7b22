package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// signedURLs are requests that a signature in the address lets pass, each seen before.
func (b *bench) signedURLs() ([]*variant, error) {
	const base, name = "stock, signed URL", "gateway, signed URL"
	stock, err := b.stockProxy(base, "")
	if err != nil {
		return nil, err
	}
	gateway, tokens, openID, err := b.loggedIn(name, "")
	if err != nil {
		return nil, err
	}
	urls := make([]string, len(tokens))
	for i, token := range tokens {
		if urls[i], err = sign(gateway.addr, token, "/"); err != nil {
			return nil, err
		}
	}
	check, err := sign(gateway.addr, tokens[0], "/check")
	if err != nil {
		return nil, err
	}
	calls := each(urls, func(_ int, url string) ask { return ask{path: url} })
	sees := call{get(check, "", 0), http.StatusOK}
	return []*variant{
		{name: base, proxy: stock, base: base, calls: calls, check: sees, sees: "openid=" + forgedOpenID + " extra="},
		{name: name, proxy: gateway, base: base, bound: 1.10, calls: calls, check: sees, sees: "openid=" + openID + " extra="},
	}, nil
}

// sign asks a gateway to sign a path for the longest time.
func sign(addr, token, path string) (string, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/wechat/sign", strings.NewReader(`{"path":"`+path+`","expires_in":3600}`)) //nolint:noctx // a command that ends
	if err != nil {
		return "", err
	}
	req.Host = benchHost
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var signed struct{ URL string }
	if err := json.NewDecoder(resp.Body).Decode(&signed); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("signing %s: %s, %w", path, resp.Status, err)
	}
	return signed.URL, nil
}
