package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
)

// Scan is the page with the code of a Mini Program. It is the only page with a script,
// which asks how far the scan is.
type Scan struct {
	// Number is what the user picks in the Mini Program.
	Number int
	// Code, State and Again are paths: of the picture, of what the script asks, and of
	// a page with another code.
	Code, State, Again string
}

//go:embed scan.html
var scanText string

//go:embed scan.js
var scanScript string

var scanTemplate = template.Must(template.New("scan").Parse(scanText))

// ScanPolicy is the Content-Security-Policy of the page: besides what all have, its own
// script by hash, which may ask its own site, and pictures of that.
var ScanPolicy = Policy + "; script-src '" + hashOf(scanScript) + "'; connect-src 'self'; img-src 'self'"

// hashOf is how a policy names a text.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// scanWords are the page's words in one language.
type scanWords struct {
	Title, Text, Picture, Seen, Denied, Expired, Failed, NoScript, Again string
}

var scanTexts = map[lang]scanWords{
	chinese: {
		Title: "微信扫码登录", Text: "用微信扫描小程序码，在小程序中选择下面的数字。", Picture: "小程序码",
		Seen: "已扫描。请在小程序中选择下面的数字。", Denied: "登录已被拒绝。", Expired: "小程序码已失效。", Failed: "现在无法登录，请稍后再试。",
		NoScript: "请启用 JavaScript，否则此页面无法得知你已确认。", Again: "换一个小程序码",
	},
	english: {
		Title: "Log in with WeChat", Text: "Scan the code with WeChat and choose this number in the Mini Program.", Picture: "Mini Program code",
		Seen: "Scanned. Choose this number in the Mini Program.", Denied: "The login was refused.", Expired: "This code is no longer good.", Failed: "You cannot log in right now. Please try again in a moment.",
		NoScript: "Please allow JavaScript, or this page does not learn that you have confirmed.", Again: "Show another code",
	},
}

// scanView is what the template sees.
type scanView struct {
	Scan
	Lang   string
	Style  template.CSS
	Script template.JS
	Words  scanWords
}

// WriteScan answers with the page of a scan.
func WriteScan(w http.ResponseWriter, r *http.Request, s Scan) error {
	lang := language(r.Header["Accept-Language"])
	v := scanView{
		Scan: s, Lang: string(lang), Words: scanTexts[lang],
		Style: template.CSS(style), Script: template.JS(scanScript), //nolint:gosec // constants; their hashes are in ScanPolicy
	}
	var out bytes.Buffer
	if err := scanTemplate.Execute(&out, v); err != nil {
		return fmt.Errorf("rendering page: %w", err)
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(out.Len()))
	header.Set("Content-Security-Policy", ScanPolicy)
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "strict-origin") // the script must say which site asks
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(out.Bytes()) // a client that left is no error of ours
	return nil
}
