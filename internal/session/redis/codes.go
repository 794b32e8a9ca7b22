package redis

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-wechat/gateway/internal/session"
)

const (
	pending = "pending"
	settled = "settled"
)

func (s *Store) codeNames(key session.CodeKey) (state, reply string) {
	hash := string(key.Hash[:])
	return s.name("c", key.AppID, hash), s.name("r", key.AppID, hash)
}

// ClaimCode implements [session.Once].
func (s *Store) ClaimCode(ctx context.Context, key session.CodeKey) (session.Claim, *session.Reply, error) {
	client, err := s.connected() //nolint:contextcheck // a connection is everybody's
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := s.detached(ctx)
	defer cancel()
	stateName, replyName := s.codeNames(key)
	// The claim has the caller's name, so that one whose answer was lost with its
	// connection can be made again.
	claimName := pending + ":" + rand.Text()
	var state string
	err = s.retryOnce(ctx, func() error {
		claimed, err := text(client.Do(ctx, client.B().Set().Key(stateName).Value(claimName).Nx().
			PxMilliseconds(session.CodeLifetime.Milliseconds()).Build()))
		if err != nil || claimed != "" { // "OK", or nothing if the key was there
			state = claimName
			return err
		}
		state, err = text(client.Do(ctx, client.B().Get().Key(stateName).Build()))
		return err
	})
	if err != nil {
		return 0, nil, unavailable(err)
	}
	if state == claimName {
		return session.ClaimGranted, nil, nil
	}
	if state != settled { // or released in this moment: whoever asks again gets it
		return session.ClaimPending, nil, nil
	}
	return s.reply(ctx, client, replyName)
}

// PeekCode implements [session.Once].
func (s *Store) PeekCode(ctx context.Context, key session.CodeKey) (session.Claim, *session.Reply, error) {
	client, err := s.connected() //nolint:contextcheck // a connection is everybody's
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := s.detached(ctx)
	defer cancel()
	stateName, replyName := s.codeNames(key)
	var state string
	err = s.retryOnce(ctx, func() error {
		state, err = text(client.Do(ctx, client.B().Get().Key(stateName).Build()))
		return err
	})
	switch {
	case err != nil:
		return 0, nil, unavailable(err)
	case state == "":
		return session.ClaimGranted, nil, nil
	case state != settled:
		return session.ClaimPending, nil, nil
	}
	return s.reply(ctx, client, replyName)
}

// reply reads the reply of a code that is settled.
func (s *Store) reply(ctx context.Context, client rueidis.Client, replyName string) (session.Claim, *session.Reply, error) {
	raw, err := text(client.Do(ctx, client.B().Get().Key(replyName).Build()))
	if err != nil {
		return 0, nil, unavailable(err)
	}
	if raw == "" {
		return session.ClaimSettled, nil, nil
	}
	data, err := s.box.Open([]byte(raw), replyName)
	if err != nil {
		return 0, nil, unavailable(errForeign)
	}
	var reply session.Reply
	if err := json.Unmarshal(data, &reply); err != nil {
		return 0, nil, unavailable(errForeign)
	}
	return session.ClaimSettled, &reply, nil
}

// SettleCode implements [session.Once].
func (s *Store) SettleCode(ctx context.Context, key session.CodeKey, reply session.Reply) error {
	client, err := s.connected() //nolint:contextcheck // a connection is everybody's
	if err != nil {
		return err
	}
	ctx, cancel := s.detached(ctx)
	defer cancel()
	stateName, replyName := s.codeNames(key)
	var commands rueidis.Commands
	if reply.Nonce != "" {
		data, err := json.Marshal(reply)
		if err != nil {
			panic(err) // a string and bytes always encode
		}
		commands = append(commands, client.B().Set().Key(replyName).Value(string(s.box.Seal(data, replyName))).
			PxMilliseconds(reply.Kept().Milliseconds()).Build())
	}
	// The reply first: whoever sees "settled" finds it.
	commands = append(commands, client.B().Set().Key(stateName).Value(settled).
		PxMilliseconds((session.CodeLifetime + time.Second).Milliseconds()).Build())
	for _, command := range commands {
		command = command.Pin() // for a second time, should its connection be cut
		err := s.retryOnce(ctx, func() error { return client.Do(ctx, command).Error() })
		if err != nil && !rueidis.IsRedisNil(err) {
			return unavailable(err)
		}
	}
	return nil
}

// ReleaseCode implements [session.Once].
func (s *Store) ReleaseCode(ctx context.Context, key session.CodeKey) error {
	client, err := s.connected() //nolint:contextcheck // a connection is everybody's
	if err != nil {
		return err
	}
	ctx, cancel := s.detached(ctx)
	defer cancel()
	stateName, _ := s.codeNames(key)
	return unavailable(s.retryOnce(ctx, func() error { return client.Do(ctx, client.B().Del().Key(stateName).Build()).Error() }))
}

// ClaimsSince implements [session.Once]: Redis outlives this process.
func (s *Store) ClaimsSince(string) time.Time { return time.Time{} }
