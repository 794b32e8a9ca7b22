package operate

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

// defaultPage is how many users a page has unless `limit` says otherwise.
const defaultPage = 100

type listedSession struct {
	ID    string    `json:"session_id"`
	Began time.Time `json:"began"`
	Ends  time.Time `json:"ends"`
	Kind  string    `json:"kind,omitempty"`
}

// listedUser is a user by the name that logs have, with the live sessions.
type listedUser struct {
	UserHash    string          `json:"user_hash"`
	UserID      string          `json:"user_id,omitempty"`
	Sessions    []listedSession `json:"sessions"`
	DeniedUntil *time.Time      `json:"denied_until,omitempty"`
	// Unreadable is how many records there are of which any may be this user's, who was
	// not found by hash.
	Unreadable int `json:"unreadable,omitempty"`
}

func newListedUser(hash string, record session.Record) listedUser {
	user := listedUser{UserHash: hash, UserID: record.UserID, Sessions: make([]listedSession, 0, len(record.Sessions))}
	for _, s := range record.Sessions {
		user.Sessions = append(user.Sessions, listedSession{s.ID, s.Began.UTC(), s.Ends.UTC(), string(s.Kind)})
	}
	if !record.DeniedUntil.IsZero() {
		until := record.DeniedUntil.UTC()
		user.DeniedUntil = &until
	}
	return user
}

// list answers with one user, by openid or by hash, or else with a page of all who
// are logged in.
func (a *Admin) list(w http.ResponseWriter, r *http.Request) error {
	body, err := readAdmin(r, "appid", "openid", "user_hash", "after", "limit")
	if err != nil {
		return err
	}
	paging := body.After != "" || body.Limit != nil
	switch {
	case body.OpenID != "" && body.UserHash != "", (body.OpenID != "" || body.UserHash != "") && paging:
		return adminError(http.StatusBadRequest, errors.New("name the user by openid or by user_hash, or page through all with after and limit"))
	case body.OpenID != "":
		record, err := a.app.Gateway().Sessions(r.Context(), body.Target)
		if err != nil {
			return coreError(err)
		}
		return answerAdmin(w, http.StatusOK, newListedUser(a.app.Gateway().UserHash(body.Target), record))
	case body.UserHash != "":
		record, unreadable, err := a.app.Gateway().Find(r.Context(), body.AppID, body.UserHash)
		if err != nil {
			return coreError(err)
		}
		user := newListedUser(body.UserHash, record)
		user.Unreadable = unreadable
		return answerAdmin(w, http.StatusOK, user)
	}
	return a.listPage(w, r, body)
}

func (a *Admin) listPage(w http.ResponseWriter, r *http.Request, body adminBody) error {
	limit := int64(defaultPage)
	if body.Limit != nil {
		var ok bool
		if limit, ok = strictjson.Int(body.Limit); !ok || limit < 1 || limit > gateway.MaxPage {
			return adminError(http.StatusBadRequest, fmt.Errorf("limit must be a number from 1 to %d", gateway.MaxPage))
		}
	}
	page, err := a.app.Gateway().List(r.Context(), body.AppID, body.After, int(limit))
	if err != nil {
		return coreError(err)
	}
	users := make([]listedUser, len(page.Users))
	for i, listed := range page.Users {
		users[i] = newListedUser(listed.UserHash, listed.Record)
	}
	return answerAdmin(w, http.StatusOK, struct {
		Users []listedUser `json:"users"`
		// After is for the next page; absent on the last.
		After string `json:"after,omitempty"`
		// Unreadable is how many records of this part of the list say of nobody who it is.
		Unreadable int `json:"unreadable,omitempty"`
	}{users, page.Next, page.Unreadable})
}
