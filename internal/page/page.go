// Package page renders the pages that people see when the gateway answers a
// browser itself: short, in Chinese or English, without script, and without
// anything about anybody.
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

// Page is what a page says.
type Page struct {
	// Kind chooses the words.
	Kind Kind
	// Code of the refusal, as in X-WeChat-Gateway and the log: people read it to
	// an operator.
	Code string
	// Continue is a path that the main link or, with Confirm, the button leads to;
	// empty for none.
	Continue string
	// Confirm makes the button send a form with this hidden value instead.
	Confirm string
	// Other is a path of a second, smaller link; empty for none.
	Other string
	// Address is shown to be opened elsewhere, with its QR code; empty for none.
	Address string
	// Message replaces the text with that of the app, as it is; empty for ours.
	Message string
}

//go:embed page.html
var pageText string

//go:embed page.css
var style string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Policy is the Content-Security-Policy of every page: its own style by hash, its
// own forms, nothing else, and in no frame.
var Policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

// view is what the template sees.
type view struct {
	Page
	Lang  string
	Style template.CSS
	Words words
	Hint  string
	QR    *qrView
}

// Render returns the HTML of a page in the language that the client prefers.
func Render(p Page, acceptLanguage []string) ([]byte, error) {
	lang := language(acceptLanguage)
	v := view{
		Page: p, Lang: string(lang), Words: texts[p.Kind][lang], Hint: codeHints[lang],
		Style: template.CSS(style), //nolint:gosec // a constant; its hash is in Policy
	}
	if p.Address != "" {
		// Addresses that no code holds are shown as text only.
		v.QR, _ = newQR(p.Address)
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("rendering page: %w", err)
	}
	return out.Bytes(), nil
}

// Write answers with a page.
func Write(w http.ResponseWriter, r *http.Request, status int, p Page) error {
	body, err := Render(p, r.Header["Accept-Language"])
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Content-Security-Policy", Policy)
	header.Set("Cache-Control", "no-store")
	policy := "no-referrer"
	if p.Confirm != "" {
		// The form must say which site sends it; with no-referrer that is null.
		policy = "strict-origin"
	}
	header.Set("Referrer-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY") // for WebViews that know no frame-ancestors
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left is no error of ours
	return nil
}
