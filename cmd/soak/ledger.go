package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// propagation is how soon a change is known on all nodes.
	propagation = time.Second
	// recovery is how soon all is well after a fault of the store has ended: calls
	// that began in it have run out of time.
	recovery = storeTimeout + 2*time.Second
	// aging is how far the times of a token and of the ledger may lie apart.
	aging = 2 * time.Second
)

// login is a session of a person, as the ledger has it.
type login struct {
	token  string
	issued time.Time
	// ended is when its end was answered; zero: it was not.
	ended time.Time
	// unsure says that something was begun that may have ended it.
	unsure bool
	// left is a logout whose client did not wait for the answer.
	left *attempt
	// knows are the nodes that know of the end, in which of their lives.
	knows map[int]int
}

// attempt is a request whose answer was not read.
type attempt struct {
	node *node
	at   time.Time
}

// done is how soon after its client left a logout has finished.
const done = storeTimeout + 2*time.Second

// end writes down an answered end of the login.
func (l *login) end(n *node, life int) {
	if l.ended.IsZero() {
		l.ended = time.Now()
	}
	l.know(n, life)
}

func (l *login) know(n *node, life int) {
	if l.knows == nil {
		l.knows = make(map[int]int)
	}
	l.knows[n.index] = life
}

// ledger has what is wrong, and how much was right.
type ledger struct {
	mu     sync.Mutex
	counts map[string]int
	wrong  []string
}

func newLedger() *ledger { return &ledger{counts: make(map[string]int)} }

func (l *ledger) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

func (l *ledger) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// exchange is a request with a token, and its answer.
type exchange struct {
	node           *node
	life           int // of the node, before the request
	sent, answered time.Time
	status         int
	body           string
}

// settle ends a logout whose client did not wait, if no fault delayed it.
func (w *world) settle(l *login, now time.Time) {
	if l.left == nil || now.Before(l.left.at.Add(done)) {
		return
	}
	from, to := l.left.at.Add(-100*time.Millisecond), l.left.at.Add(done)
	if !w.store.touch(from, to, recovery) && !l.left.node.down.touch(from, to, propagation) && l.ended.IsZero() {
		l.ended = to
		w.ledger.count("logouts without a client")
	}
	l.left = nil
}

// judge compares the answer to a request with what the ledger has.
func (w *world) judge(p *person, l *login, a exchange) {
	w.settle(l, a.sent)
	fault := w.store.touch(a.sent, a.answered, recovery)
	ended := !l.ended.IsZero()
	switch a.status {
	case 0: // the node is down, or its listener was replaced
		w.ledger.count("no connection")
	case http.StatusOK:
		w.ledger.count("passed")
		switch {
		case a.body != p.openID:
			w.ledger.fail("%s passes as %q on node %d", p.name, a.body, a.node.index)
		case ended && w.mustKnow(l, a, fault):
			w.ledger.fail("%s passes on node %d, %s after the end (in a fault of the store: %t)",
				p.name, a.node.index, a.sent.Sub(l.ended).Round(time.Millisecond), fault)
		}
	case http.StatusUnauthorized:
		w.ledger.count("turned away")
		if !ended && !l.unsure {
			w.ledger.fail("%s is turned away on node %d, and is logged in: %s", p.name, a.node.index, a.body)
		}
		l.know(a.node, a.life)
	case http.StatusServiceUnavailable:
		w.ledger.count("store unavailable")
		if !fault {
			w.ledger.fail("503 for %s on node %d, and the store is well: %s", p.name, a.node.index, a.body)
		}
	default:
		w.ledger.fail("%d for %s on node %d: %s", a.status, p.name, a.node.index, a.body)
	}
}

// mustKnow reports whether the node must know of the end of a login by now.
func (w *world) mustKnow(l *login, a exchange, fault bool) bool {
	if life, knows := l.knows[a.node.index]; knows && life == a.life && a.sent.After(l.ended) {
		return true
	}
	if !a.sent.After(l.ended.Add(propagation)) {
		return false
	}
	// Another node ended it, and by grace only young tokens pass.
	return !fault || w.variant.grace == 0 || a.sent.Sub(l.issued) > w.variant.grace+aging
}
