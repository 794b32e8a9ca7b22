package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// person logs in and out, and things are done to them, one after another.
type person struct {
	name, openID string
	random       *rand.Rand
	logins       []*login
	// denied is until when; a denial that was not answered is unsure.
	denied       time.Time
	deniedUnsure bool
}

// maxLogins bounds what is remembered of a person; the oldest ended go first.
const maxLogins = 24

var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

// ask sends a request; status 0 means that there was no answer.
func (w *world) ask(method, addr, path, token, body string) (status int, answer string) {
	req, err := http.NewRequestWithContext(w.ctx, method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(data)
}

func (w *world) any(p *person) *node { return w.nodes[p.random.IntN(len(w.nodes))] }

// step does one thing.
func (w *world) step(p *person) {
	w.turn.RLock()
	defer w.turn.RUnlock()
	switch dice := p.random.IntN(100); {
	case dice < 12, len(p.logins) == 0:
		w.login(p)
	case dice < 15:
		w.logout(p, p.one())
	case dice < 19:
		w.logoutAndLeave(p, p.one())
	case dice < 24:
		w.renew(p, p.one())
	case dice < 25:
		w.operate(p, "/wechat/sessions/end", "", time.Time{})
	case dice < 26, dice < 34 && (p.deniedUnsure || p.denied.After(time.Now())):
		w.deny(p)
	default:
		w.check(p, p.one(), w.any(p))
	}
}

// one returns a login, usually a live one.
func (p *person) one() *login {
	l := p.logins[p.random.IntN(len(p.logins))]
	for range 3 {
		if l.ended.IsZero() && !l.unsure {
			break
		}
		l = p.logins[p.random.IntN(len(p.logins))]
	}
	return l
}

// login logs in, at whichever node.
func (w *world) login(p *person) {
	_, body := w.ask(http.MethodPost, w.simulator.addr, "/simulator/code?user="+p.name, "", "")
	var code struct{ Code string }
	if json.Unmarshal([]byte(body), &code) != nil || code.Code == "" {
		w.ledger.fail("the simulator gives no code: %s", body)
		return
	}
	n := w.any(p)
	sent := time.Now()
	status, body := w.ask(http.MethodPost, n.addr, "/wechat/login", "", `{"code":"`+code.Code+`"}`)
	answered := time.Now()
	denied := p.denied.After(answered)
	switch {
	case status == http.StatusOK && denied && !p.deniedUnsure:
		w.ledger.fail("%s is denied and logs in at node %d", p.name, n.index)
	case status == http.StatusForbidden && p.denied.Before(sent.Add(-time.Second)) && !p.deniedUnsure:
		w.ledger.fail("%s is not denied and does not get in at node %d", p.name, n.index)
	case status == http.StatusForbidden:
		w.ledger.count("denied")
	case status == http.StatusServiceUnavailable && !w.store.touch(sent, answered, recovery):
		w.ledger.fail("503 for a login of %s at node %d, and the store is well: %s", p.name, n.index, body)
	case status != http.StatusOK && status != http.StatusServiceUnavailable && status != 0:
		w.ledger.fail("%d for a login of %s: %s", status, p.name, body)
	}
	if status != http.StatusOK {
		return
	}
	w.ledger.count("logged in")
	var grant struct{ Token string }
	if json.Unmarshal([]byte(body), &grant) != nil || grant.Token == "" {
		w.ledger.fail("no token: %s", body)
		return
	}
	p.add(&login{token: grant.Token, issued: answered})
	if p.openID == "" {
		_, p.openID = w.ask(http.MethodGet, n.addr, "/", grant.Token, "")
	}
}

func (p *person) add(l *login) {
	p.logins = append(p.logins, l)
	if len(p.logins) <= maxLogins {
		return
	}
	for i, old := range p.logins {
		if !old.ended.IsZero() || i == len(p.logins)-2 {
			p.logins = append(p.logins[:i], p.logins[i+1:]...)
			return
		}
	}
}

func (w *world) check(p *person, l *login, n *node) {
	a := exchange{node: n, life: n.lives(), sent: time.Now()}
	a.status, a.body = w.ask(http.MethodGet, n.addr, "/", l.token, "")
	a.answered = time.Now()
	w.judge(p, l, a)
}

// logout ends a login for good: whoever gets no answer tries again.
func (w *world) logout(p *person, l *login) {
	for range 40 {
		n := w.any(p)
		life := n.lives()
		before := l.unsure
		l.unsure = true
		switch status, body := w.ask(http.MethodPost, n.addr, "/wechat/logout", l.token, ""); status {
		case http.StatusNoContent:
			l.unsure = before
			l.end(n, life)
			w.ledger.count("logged out")
			return
		case 0, http.StatusServiceUnavailable:
			time.Sleep(100 * time.Millisecond)
		default:
			w.ledger.fail("%d for a logout of %s: %s", status, p.name, body)
			return
		}
	}
}

// logoutAndLeave sends a logout and waits for no answer.
func (w *world) logoutAndLeave(p *person, l *login) {
	n := w.any(p)
	if !l.ended.IsZero() || l.unsure {
		return
	}
	conn, err := net.DialTimeout("tcp", n.addr, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	l.unsure, l.left = true, &attempt{n, time.Now()}
	fmt.Fprintf(conn, "POST /wechat/logout HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", n.addr, l.token)
	time.Sleep(time.Duration(p.random.IntN(15)) * time.Millisecond)
}

// renew goes on with a new token of the same session.
func (w *world) renew(p *person, l *login) {
	n := w.any(p)
	sent := time.Now()
	status, body := w.ask(http.MethodPost, n.addr, "/wechat/renew", l.token, "")
	answered := time.Now()
	w.settle(l, sent)
	if status != http.StatusOK {
		return
	}
	switch {
	case !l.ended.IsZero() && sent.After(l.ended.Add(propagation)):
		w.ledger.fail("%s renews a token of a session that has ended", p.name)
	case w.store.cover(sent.Add(-200*time.Millisecond-propagation), answered):
		w.ledger.fail("%s renews a token while the store is away", p.name)
	}
	var grant struct{ Token string }
	if json.Unmarshal([]byte(body), &grant) == nil && grant.Token != "" {
		l.token, l.issued = grant.Token, answered
		w.ledger.count("renewed")
	}
}

// operate does something to a person by a node's admin endpoint that ends all
// their logins, and tries until it is answered.
func (w *world) operate(p *person, path, more string, late time.Time) bool {
	if p.openID == "" {
		return false
	}
	body := fmt.Sprintf(`{"appid":%q,"openid":%q%s}`, appID, p.openID, more)
	for range 40 {
		for _, l := range p.logins {
			l.unsure = true
		}
		n := w.any(p)
		life := n.lives()
		switch status, answer := w.ask(http.MethodPost, n.admin, path, "", body); status {
		case http.StatusOK:
			for _, l := range p.logins {
				l.end(n, life)
			}
			w.ledger.count(path)
			return true
		case 0, http.StatusServiceUnavailable:
			time.Sleep(100 * time.Millisecond)
		default:
			if status != http.StatusBadRequest || late.IsZero() || time.Now().Before(late) {
				w.ledger.fail("%d for %s of %s: %s", status, path, p.name, answer)
			}
			return false
		}
	}
	return false
}

// deny keeps a person out for a time, and after that lets them in again.
func (w *world) deny(p *person) {
	if p.deniedUnsure || p.denied.After(time.Now()) {
		w.allow(p)
		return
	}
	until := time.Now().Add(time.Hour)
	if p.random.IntN(2) == 0 {
		until = time.Now().Add(2 * time.Second).Truncate(time.Second)
	}
	p.deniedUnsure = true
	if w.operate(p, "/wechat/users/deny", `,"until":"`+until.UTC().Format(time.RFC3339)+`"`, until) {
		p.denied, p.deniedUnsure = until, false
	}
}

func (w *world) allow(p *person) {
	p.deniedUnsure = true
	body := fmt.Sprintf(`{"appid":%q,"openid":%q}`, appID, p.openID)
	for range 40 {
		if status, _ := w.ask(http.MethodPost, w.any(p).admin, "/wechat/users/allow", "", body); status == http.StatusOK {
			p.denied, p.deniedUnsure = time.Time{}, false
			w.ledger.count("/wechat/users/allow")
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
