package simulator

import (
	"bytes"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

var connectPage = template.Must(template.ParseFS(pages, "connect/index.html"))

// connectView is what the page shows: an error, a refusal, two loads of a callback, or
// the form.
type connectView struct {
	Error, First, Second      string
	Refused, Website, Consent bool
	Scope, AppID, Host        string
	Path, Query               string
	Users                     []User
	Quirks                    []string
	Fragment                  string
}

// connect shows the page that a browser is sent to.
func (s *Site) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	c, err := s.parseConnection(r.URL.Path, r.URL.RawQuery)
	if err == nil {
		err = c.fitsBrowser(r)
	}
	if err != nil {
		writeConnect(w, http.StatusBadRequest, nil, connectView{Error: err.Error()})
		return
	}
	writeConnect(w, http.StatusOK, c, connectView{
		Website: c.website, Consent: c.scope == scopeUserInfo, Scope: c.scope, AppID: c.appID, Host: c.back.Host,
		Path: c.path, Query: c.query, Users: s.Server.Users(), Quirks: Quirks,
	})
}

// fitsBrowser refuses the consent page outside WeChat, as WeChat does.
func (c *connection) fitsBrowser(r *http.Request) error {
	if !c.website && !strings.Contains(r.UserAgent(), "MicroMessenger") {
		return &connectError{0, "请在微信客户端打开链接 (open this in WeChat)"}
	}
	return nil
}

// confirm takes the form of the page.
func (s *Site) confirm(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		writeConnect(w, http.StatusBadRequest, nil, connectView{Error: "not a form"})
		return
	}
	form := r.PostForm
	c, err := s.parseConnection(form.Get("path"), form.Get("query"))
	if err == nil {
		err = c.fitsBrowser(r)
	}
	if err == nil {
		err = checkFragment(form.Get("fragment"))
	}
	var to []string
	quirk := form.Get("quirk")
	if err == nil {
		to, err = s.Server.consent(c, form.Get("user"), quirk)
	}
	if err != nil {
		writeConnect(w, http.StatusBadRequest, nil, connectView{Error: err.Error()})
		return
	}
	if quirk == quirkCookie {
		// Cookies know no ports, so those of a gateway on the same host name come here.
		for _, cookie := range r.Cookies() {
			http.SetCookie(w, &http.Cookie{Name: cookie.Name, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // it has no value
		}
	}
	switch len(to) {
	case 0:
		writeConnect(w, http.StatusOK, c, connectView{Refused: true})
	case 1:
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		http.Redirect(w, r, to[0], http.StatusSeeOther)
	default:
		writeConnect(w, http.StatusOK, c, connectView{First: to[0], Second: to[1]})
	}
}

// checkFragment checks what only the browser sees: WeChat's pages stay empty without it.
func checkFragment(fragment string) error {
	if fragment != "#wechat_redirect" {
		return &connectError{0, "the link must end with #wechat_redirect"}
	}
	return nil
}

// consentByHand is the form for programs.
func (s *Site) consentByHand(r *http.Request) (any, error) {
	var form struct {
		URL   string `json:"url"`
		User  string `json:"user"`
		Quirk string `json:"quirk"`
	}
	if err := decode(r, &form); err != nil {
		return nil, err
	}
	u, err := url.Parse(form.URL)
	if err != nil {
		return nil, errors.New("url is invalid")
	}
	if err := checkFragment("#" + u.Fragment); err != nil {
		return nil, err
	}
	c, err := s.parseConnection(u.Path, u.RawQuery)
	if err != nil {
		return nil, err
	}
	if form.Quirk == quirkCookie {
		return nil, errors.New("cookie_lost: leave your cookies out yourself")
	}
	to, err := s.Server.consent(c, form.User, form.Quirk)
	if err != nil {
		return nil, err
	}
	return map[string]any{"callbacks": append([]string{}, to...)}, nil
}

// writeConnect writes the page. Its form may lead to the place that it returns to only.
func writeConnect(w http.ResponseWriter, status int, c *connection, view connectView) {
	targets := "'self'"
	if c != nil {
		targets += " " + c.back.Scheme + "://" + c.back.Host
	}
	var text bytes.Buffer
	if err := connectPage.Execute(&text, view); err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'", "style-src 'self'", "img-src data:", "base-uri 'none'", "form-action " + targets, "frame-ancestors 'none'",
	}, "; "))
	// Not no-referrer, which makes the form's Origin null.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // a client that left is no error of ours
}
