package browser

import (
	"net/http"
	"strings"
	"testing"
)

// Header sets of real clients (B10, B11). Each line is "name: value".
var clients = []struct {
	name, method, headers string
	page                  bool
}{
	{"Chrome, a page", "GET", `
		Sec-Fetch-Site: none
		Sec-Fetch-Mode: navigate
		Sec-Fetch-User: ?1
		Sec-Fetch-Dest: document
		Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8`, true},
	{"Chrome, a page over http", "GET", `
		Upgrade-Insecure-Requests: 1
		Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8`, true},
	{"Firefox, a page", "GET", `
		Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
		Sec-Fetch-Dest: document
		Sec-Fetch-Mode: navigate
		Sec-Fetch-Site: cross-site`, true},
	{"Safari 15, a page", "GET", `
		Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8`, true},
	{"WeChat on Android, a page", "GET", `
		Upgrade-Insecure-Requests: 1
		Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/wxpic,image/webp,image/apng,*/*;q=0.8
		X-Requested-With: com.tencent.mm
		Sec-Fetch-Site: none
		Sec-Fetch-Mode: navigate
		Sec-Fetch-User: ?1
		Sec-Fetch-Dest: document`, true},
	{"WeChat on Android over http, a page", "GET", `
		Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/wxpic,image/tpg,image/webp,*/*;q=0.8
		X-Requested-With: com.tencent.mm`, true},
	{"WeChat on iOS, a page", "GET", `
		Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8`, true},
	{"WeChat on Windows, a page", "GET", `
		Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7
		Sec-Fetch-Site: none
		Sec-Fetch-Mode: navigate
		Sec-Fetch-Dest: document`, true},
	{"developer tools, a page", "GET", `
		Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,image/apng,*/*;q=0.8
		Sec-Fetch-Mode: navigate
		Sec-Fetch-Dest: document
		Sec-Fetch-Site: none`, true},
	{"Android's WebView of another app, a page", "GET", `
		Accept: text/html,*/*;q=0.8
		X-Requested-With: com.example.shop`, true},
	{"Chrome, a form", "POST", `
		Accept: text/html,application/xhtml+xml
		Sec-Fetch-Mode: navigate
		Sec-Fetch-Dest: document
		Sec-Fetch-Site: same-origin`, false},
	{"Chrome, HEAD", "HEAD", "Accept: text/html", false},
	{"Chrome, a frame", "GET", `
		Accept: text/html,application/xhtml+xml
		Sec-Fetch-Mode: navigate
		Sec-Fetch-Dest: iframe`, false},
	{"Chrome, a picture", "GET", `
		Accept: image/avif,image/webp,image/apng,*/*;q=0.8
		Sec-Fetch-Mode: no-cors
		Sec-Fetch-Dest: image`, false},
	{"Chrome, fetch", "GET", `
		Accept: */*
		Sec-Fetch-Mode: cors
		Sec-Fetch-Dest: empty`, false},
	{"Chrome, fetch that asks for HTML", "GET", `
		Accept: text/html
		Sec-Fetch-Mode: cors
		Sec-Fetch-Dest: empty`, false},
	{"Chrome 76, which names no destination", "GET", `
		Accept: text/html
		Sec-Fetch-Mode: navigate`, false},
	{"Chrome, prefetch", "GET", `
		Accept: text/html
		Sec-Purpose: prefetch
		Sec-Fetch-Mode: navigate
		Sec-Fetch-Dest: document`, false},
	{"Chrome, prerender", "GET", `
		Accept: text/html
		Sec-Purpose: prefetch;prerender
		Sec-Fetch-Mode: navigate
		Sec-Fetch-Dest: document`, false},
	{"Safari, prefetch", "GET", "Accept: text/html\nPurpose: prefetch", false},
	{"Firefox, prefetch", "GET", "Accept: text/html\nX-Moz: prefetch", false},
	{"a WebSocket", "GET", `
		Connection: Upgrade
		Upgrade: websocket
		Sec-Fetch-Mode: websocket
		Sec-Fetch-Dest: empty`, false},
	{"a WebSocket of Safari 15", "GET", "Connection: Upgrade\nUpgrade: websocket\nAccept: text/html", false},
	{"axios", "GET", "Accept: application/json, text/plain, */*", false},
	{"jQuery", "GET", "Accept: */*\nX-Requested-With: XMLHttpRequest", false},
	{"jQuery that loads HTML", "GET", "Accept: text/html, */*; q=0.01\nX-Requested-With: XMLHttpRequest", false},
	{"htmx", "GET", "Accept: text/html\nHx-Request: true", false},
	{"pjax", "GET", "Accept: text/html\nX-Pjax: true", false},
	{"curl", "GET", "Accept: */*", false},
	{"nothing", "GET", "", false},
	{"wx.request on a phone", "GET", "Content-Type: application/json\nAccept: */*", false},
	{"wx.request on Windows", "GET", `
		Accept: */*
		Content-Type: application/json
		Sec-Fetch-Site: cross-site
		Sec-Fetch-Mode: cors
		Sec-Fetch-Dest: empty`, false},
	{"who does not want HTML", "GET", "Accept: application/json, text/html;q=0", false},
	{"two modes", "GET", "Sec-Fetch-Mode: navigate\nSec-Fetch-Mode: cors\nSec-Fetch-Dest: document\nAccept: text/html", false},
	{"look-alike of text/html", "GET", "Accept: text/html5, application/text/html", false},
}

func TestB10B11PageLoadsOfRealClients(t *testing.T) {
	for _, client := range clients {
		r := &http.Request{Method: client.method, Header: make(http.Header)}
		for line := range strings.Lines(client.headers) {
			if name, value, found := strings.Cut(strings.TrimSpace(line), ": "); found {
				r.Header[name] = append(r.Header[name], value)
			}
		}
		if got := PageLoad(r); got != client.page {
			t.Errorf("%s: page load %v, want %v", client.name, got, client.page)
		}
	}
}

func TestFormsAreSentByPeople(t *testing.T) {
	for _, client := range []struct {
		name, method, headers string
		form                  bool
	}{
		{"Chrome, a form", "POST", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nContent-Type: application/x-www-form-urlencoded", true},
		{"Safari 15, a form", "POST", "Accept: text/html,*/*;q=0.8\nContent-Type: application/x-www-form-urlencoded", true},
		{"Safari 15, an upload", "POST", "Accept: text/html,*/*;q=0.8\nContent-Type: multipart/form-data; boundary=x", true},
		{"WeChat on Android, a form over http", "POST", "Accept: text/html,*/*;q=0.8\nX-Requested-With: com.tencent.mm\nContent-Type: application/x-www-form-urlencoded", true},
		{"Chrome, fetch of a form", "POST", "Sec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\nContent-Type: application/x-www-form-urlencoded", false},
		{"Chrome, a form into a frame", "POST", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe", false},
		{"jQuery", "POST", "Accept: text/html\nX-Requested-With: XMLHttpRequest\nContent-Type: application/x-www-form-urlencoded", false},
		{"htmx", "POST", "Accept: text/html\nHx-Request: true\nContent-Type: application/x-www-form-urlencoded", false},
		{"axios", "POST", "Accept: application/json, text/plain, */*\nContent-Type: application/json", false},
		{"curl", "POST", "Accept: */*\nContent-Type: application/x-www-form-urlencoded", false},
		{"a page load", "GET", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document", false},
	} {
		r := &http.Request{Method: client.method, Header: make(http.Header)}
		for line := range strings.Lines(client.headers) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			r.Header[name] = append(r.Header[name], value)
		}
		if got := Form(r); got != client.form {
			t.Errorf("%s: form %v, want %v", client.name, got, client.form)
		}
	}
}

func TestOwnLinks(t *testing.T) {
	for _, test := range []struct {
		values []string
		own    bool
	}{
		{[]string{"same-origin"}, true},
		{[]string{"none"}, true},
		{nil, false},
		{[]string{"same-site"}, false},
		{[]string{"cross-site"}, false},
		{[]string{"none", "cross-site"}, false},
		{[]string{""}, false},
	} {
		if got := OwnLink(http.Header{"Sec-Fetch-Site": test.values}); got != test.own {
			t.Errorf("%q: %v", test.values, got)
		}
	}
}
