package redis

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-wechat/gateway/internal/session"
)

// Records of users cannot be counted by app without reading them all, so each
// app has two sorted sets beside them: hashes of its sessions and of its users,
// by their ends. They are statistics: a node that dies between a change and its
// count leaves them wrong until the sessions of that change have ended.

// indexLinger is how much longer than the newest session a set is kept: longer
// than other sessions of the app last, unless their lifetime was cut by more.
const indexLinger = 100 * 24 * time.Hour

func (s *Store) indexNames(appID string) (sessions, users string) {
	return s.name("s", appID), s.name("n", appID)
}

// Count implements [session.Operations].
func (s *Store) Count(ctx context.Context, appID string) (count session.Count, err error) {
	err = s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		count, err = s.count(ctx, client, appID)
		return err
	})
	return count, err
}

func (s *Store) count(ctx context.Context, client rueidis.Client, appID string) (count session.Count, err error) {
	sessions, users := s.indexNames(appID)
	after := "(" + strconv.FormatInt(time.Now().Unix(), 10)
	for key, into := range map[string]*int{sessions: &count.Sessions, users: &count.Users} {
		n, err := client.Do(ctx, client.B().Zcount().Key(key).Min(after).Max("+inf").Build()).AsInt64()
		if err != nil {
			return session.Count{}, err
		}
		*into = int(n)
	}
	return count, nil
}

// recount tells the sets about a change of a user's record.
func (s *Store) recount(ctx context.Context, client rueidis.Client, appID, key string, before []string, after *record) {
	sessions, users := s.indexNames(appID)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	commands := rueidis.Commands{
		client.B().Zremrangebyscore().Key(sessions).Min("-inf").Max(now).Build(),
		client.B().Zremrangebyscore().Key(users).Min("-inf").Max(now).Build(),
	}
	live := make(map[string]bool, len(after.Sessions))
	var last int64
	for _, entry := range after.Sessions {
		live[entry.ID] = true
		last = max(last, entry.Ends)
		commands = append(commands, client.B().Zadd().Key(sessions).ScoreMember().
			ScoreMember(float64(entry.Ends), s.hash("s", entry.ID)).Build())
	}
	for _, id := range before {
		if !live[id] {
			commands = append(commands, client.B().Zrem().Key(sessions).Member(s.hash("s", id)).Build())
		}
	}
	if last > 0 {
		commands = append(commands, client.B().Zadd().Key(users).ScoreMember().ScoreMember(float64(last), key).Build())
	} else {
		commands = append(commands, client.B().Zrem().Key(users).Member(key).Build())
	}
	// Nothing stays for ever, should the app never be used again.
	seconds := max(last-time.Now().Unix(), 0) + int64(indexLinger/time.Second)
	commands = append(commands, client.B().Expire().Key(sessions).Seconds(seconds).Build(),
		client.B().Expire().Key(users).Seconds(seconds).Build())
	for _, result := range client.DoMulti(ctx, commands...) {
		_ = result.Error() // the change itself has succeeded
	}
}
