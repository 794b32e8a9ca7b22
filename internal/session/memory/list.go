package memory

import (
	"context"
	"strconv"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

const (
	// listStep is how many slots are read before logins may pass.
	listStep = 1000
	// maxListed is how many are read for one page: the page of an account with few
	// users, beside one with many, can be short.
	maxListed = 100_000
)

// List implements [session.Operations], in the order of the slots of users.
func (s *Store) List(ctx context.Context, appID, after string, limit int) (page session.Page, err error) {
	var last uint32
	if after != "" {
		number, err := strconv.ParseUint(after, 10, 32)
		if err != nil {
			return session.Page{}, session.ErrCursor
		}
		last = uint32(number)
	}
	limit = min(max(limit, 1), session.MaxPage)
	for scanned := 0; scanned < maxListed; scanned += listStep {
		if ctx.Err() != nil {
			return session.Page{}, session.ErrUnavailable
		}
		var more bool
		if page.Users, last, more = s.listSome(page.Users, appID, last, limit); !more {
			return page, nil
		}
		if len(page.Users) == limit {
			break
		}
	}
	page.Next = strconv.FormatUint(uint64(last), 10)
	return page, nil
}

// listSome adds users at slots after last to the page, and returns the last slot
// that it has read and whether there are more.
func (s *Store) listSome(page []session.UserRecord, appID string, last uint32, limit int) ([]session.UserRecord, uint32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	accounts := *s.accounts.Load()
	for range listStep {
		if len(page) == limit {
			break
		}
		if last++; last == 0 || !s.users.Reaches(last) {
			return page, last, false
		}
		if !s.users.Taken(last) || accounts[s.users.At(last).account].id != appID {
			continue
		}
		if record := s.record(last, now); len(record.Sessions) > 0 {
			page = append(page, session.UserRecord{OpenID: s.textOf(last, openIDText), Record: record})
		}
	}
	return page, last, s.users.Reaches(last + 1)
}
