package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-wechat/gateway/internal/session"
)

// List implements [session.Operations]. It follows the sorted set of the app's users,
// in the order in which their last sessions end, and reads at most limit records.
// The set is a statistic (see Count): a user whose login a dying node has not
// counted is missing until the next one.
func (s *Store) List(ctx context.Context, appID, after string, limit int) (page session.Page, err error) {
	limit = min(max(limit, 1), session.MaxPage)
	generation, err := s.generation(ctx, appID)
	if err != nil {
		return session.Page{}, err
	}
	from, ok := s.parseCursor(after)
	if !ok {
		return session.Page{}, session.ErrCursor
	}
	err = s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		page, err = s.list(ctx, client, appID, generation, from, limit)
		return err
	})
	return page, err
}

func (s *Store) list(
	ctx context.Context, client rueidis.Client, appID string, generation int64, from cursor, limit int,
) (page session.Page, err error) {
	_, users := s.indexNames(appID)
	first, err := from.index(ctx, client, users)
	if err != nil {
		return session.Page{}, err
	}
	members, err := client.Do(ctx, client.B().Zrange().Key(users).Min(strconv.FormatInt(first, 10)).
		Max(strconv.FormatInt(first+int64(limit)-1, 10)).Withscores().Build()).AsZScores()
	if err != nil || len(members) == 0 {
		return session.Page{}, err
	}
	reads := make(rueidis.Commands, len(members))
	for i, member := range members {
		reads[i] = client.B().Get().Key(member.Member).Build()
	}
	now := time.Now()
	for i, result := range client.DoMulti(ctx, reads...) {
		raw, err := text(result)
		if err != nil && !isForeignType(err) {
			return session.Page{}, err
		}
		var r *record
		if err == nil {
			r, err = s.decode(members[i].Member, raw)
		}
		if err != nil {
			page.Unreadable++
			continue
		}
		switch r.prune(generation, now); {
		case len(r.Sessions) == 0:
		case r.OpenID == "":
			page.Unreadable++
		default:
			page.Users = append(page.Users, session.UserRecord{OpenID: r.OpenID, Record: r.operatorView()})
		}
	}
	if len(members) == limit {
		last := members[limit-1]
		page.Next = s.formatCursor(cursor{int64(last.Score), last.Member})
	}
	return page, nil
}

// isForeignType reports whether Redis says that a key holds no string, as all of ours do.
func isForeignType(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(reply.Error(), "WRONGTYPE")
}

// cursor names the user that a list goes on after: by the end of the last session,
// and the key of the record. The zero value is before all.
type cursor struct {
	ends int64
	key  string
}

// A cursor is written as the end and the hash in the key.
func (s *Store) cursorParts() (before, after string) { return s.options.KeyPrefix + "u:{", "}" }

func (s *Store) formatCursor(c cursor) string {
	before, after := s.cursorParts()
	return strconv.FormatInt(c.ends, 10) + "." + strings.TrimSuffix(strings.TrimPrefix(c.key, before), after)
}

func (s *Store) parseCursor(text string) (c cursor, ok bool) {
	if text == "" {
		return c, true
	}
	ends, hash, found := strings.Cut(text, ".")
	number, err := strconv.ParseInt(ends, 10, 64)
	before, after := s.cursorParts()
	return cursor{number, before + hash + after}, found && err == nil && hash != ""
}

// index is where the list goes on. If the user is not there any more, those who end
// in the same second come again.
func (c cursor) index(ctx context.Context, client rueidis.Client, users string) (int64, error) {
	if c.key == "" {
		return 0, nil
	}
	rank, err := client.Do(ctx, client.B().Zrank().Key(users).Member(c.key).Build()).AsInt64()
	if err == nil {
		return rank + 1, nil
	}
	if !rueidis.IsRedisNil(err) {
		return 0, err
	}
	return client.Do(ctx, client.B().Zcount().Key(users).Min("-inf").Max("("+strconv.FormatInt(c.ends, 10)).Build()).AsInt64()
}
