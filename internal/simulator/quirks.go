package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Quirks of WeChat and of browsers in it, as reported from the field.
const (
	quirkRefuse  = "refuse"        // the user says no
	quirkDouble  = "double"        // the callback is loaded again with the same code, while the first load waits
	quirkTwo     = "two_codes"     // the callback is loaded again with another code
	quirkLate    = "late"          // the code has expired when it arrives
	quirkUsed    = "code_used"     // the code has been exchanged before (40163)
	quirkCookie  = "cookie_lost"   // the browser has lost its cookies
	quirkState   = "altered_state" // a browser has appended to the state
	quirkVirtual = "snapshot"      // the page is shown as a snapshot: the user is virtual
)

// Quirks lists what can be asked of a consent, besides nothing.
var Quirks = []string{quirkRefuse, quirkDouble, quirkTwo, quirkLate, quirkUsed, quirkCookie, quirkState, quirkVirtual}

// slowExchange is how long WeChat takes if the callback is to be loaded twice meanwhile.
const slowExchange = time.Second

// consent lets a user answer. It returns where the browser goes, in order; nowhere, if
// the user of a website refuses, who just closes WeChat's page.
func (s *Server) consent(c *connection, name, quirk string) ([]string, error) {
	if quirk != "" && !slices.Contains(Quirks, quirk) {
		return nil, fmt.Errorf("no such quirk; they are %s", strings.Join(Quirks, ", "))
	}
	s.mu.Lock()
	user, found := s.user(name)
	s.mu.Unlock()
	if !found {
		return nil, ErrUser
	}
	g := grant{scope: c.scope}
	state, loads := c.state, 1
	switch quirk {
	case quirkRefuse:
		if c.website {
			return nil, nil
		}
		return []string{c.callback("", state)}, nil
	case quirkDouble, quirkTwo:
		g.delay, loads = slowExchange, 2
	case quirkLate:
		g.errcode = 40029
	case quirkUsed:
		g.errcode = 40163
	case quirkState:
		state += "httpstartexample"
	case quirkVirtual:
		g.snapshot = true
	}
	code := s.grant(c.appID, user, g)
	to := []string{c.callback(code, state)}
	if loads == 2 {
		if quirk == quirkTwo {
			code = s.grant(c.appID, user, g)
		}
		to = append(to, c.callback(code, state))
	}
	return to, nil
}

func (s *Server) grant(appID string, user User, g grant) string {
	text := randomHex(16)
	s.codes.GetOrAdd(text, func() *code { return &code{appID: appID, user: user, grant: &g} })
	return text
}
