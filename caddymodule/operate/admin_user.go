package operate

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/internal/session"
)

// setUserID changes the application's name for a user in all live sessions; an empty
// one removes it.
func (a *Admin) setUserID(w http.ResponseWriter, r *http.Request) error {
	body, err := readAdmin(r, "appid", "openid", "user_id")
	if err != nil {
		return err
	}
	if body.UserID == nil {
		return adminError(http.StatusBadRequest, errors.New("user_id is missing; an empty one removes the user's"))
	}
	err = a.app.Gateway().SetUserID(r.Context(), body.Target, *body.UserID)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return adminError(http.StatusNotFound, errors.New("the user has no live session; the login hook names users when they log in"))
	case err != nil:
		return coreError(err)
	}
	a.app.Record().Operated("user id set by an operator", body.AppID, a.app.Gateway().UserHash(body.Target), zap.Bool("removed", *body.UserID == ""))
	return answerAdmin(w, http.StatusOK, map[string]string{"user_id": *body.UserID})
}
