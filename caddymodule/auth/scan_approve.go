package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

var errScanBody = fmt.Errorf("%w: the body must be one JSON object such as {\"scene\":\"…\",\"number\":42}", gateway.ErrInvalidRequest)

// scanBody is what a Mini Program says about a scan.
type scanBody struct {
	scene  string
	number int
}

// readScan returns the token of a request and its body.
func (h *Handler) readScan(w http.ResponseWriter, r *http.Request, needsNumber bool) (token string, body scanBody, err error) {
	if token, err = h.tokenOnly(r); err != nil {
		return token, body, err
	}
	if !strictjson.Declared(r.Header) {
		return token, body, answer.ErrMediaType
	}
	data, err := request.ReadBody(w, r, maxLoginBody)
	if err != nil {
		return token, body, err
	}
	members, err := strictjson.Object(data, maxLoginDepth)
	if err != nil || readMember(members, "scene", &body.scene) != nil {
		return token, body, errScanBody
	}
	number, ok := readNumber(members["number"])
	if needsNumber && !ok {
		return token, body, errScanBody
	}
	body.number = number
	return token, body, nil
}

// readNumber reads an integer that fits a scan.
func readNumber(raw json.RawMessage) (int, bool) {
	number, ok := strictjson.Int(raw)
	if !ok || number != int64(int(number)) {
		return 0, false
	}
	return int(number), true
}

// describeScan tells a Mini Program what to show to its user.
func (h *Handler) describeScan(w http.ResponseWriter, r *http.Request, _ *classified) error {
	token, body, err := h.readScan(w, r, false)
	if err != nil {
		return err
	}
	view, err := h.gateway.DescribeScan(r.Context(), h.approval(r, token, body))
	if err != nil {
		return err
	}
	h.writeView(w, view)
	return nil
}

// approveScan lets the desktop in.
func (h *Handler) approveScan(w http.ResponseWriter, r *http.Request, _ *classified) error {
	token, body, err := h.readScan(w, r, true)
	if err != nil {
		return err
	}
	view, err := h.gateway.ApproveScan(r.Context(), h.approval(r, token, body), body.number)
	switch {
	case errors.Is(err, gateway.ErrScanWrongNumber):
		h.record.ScanDecided(view.User.AppID, h.userHash(view.User), wechatapp.ScanWrongNumber)
		return err
	case err != nil:
		return err
	}
	h.record.ScanDecided(view.User.AppID, h.userHash(view.User), wechatapp.ScanApproved)
	h.writeView(w, view)
	return nil
}

// denyScan ends the scan.
func (h *Handler) denyScan(w http.ResponseWriter, r *http.Request, _ *classified) error {
	token, body, err := h.readScan(w, r, false)
	if err != nil {
		return err
	}
	view, err := h.gateway.DenyScan(r.Context(), h.approval(r, token, body))
	if err != nil {
		return err
	}
	h.record.ScanDecided(view.User.AppID, h.userHash(view.User), wechatapp.ScanDenied)
	h.writeView(w, view)
	return nil
}

func (h *Handler) approval(r *http.Request, token string, body scanBody) gateway.Approval {
	return gateway.Approval{Token: token, Scene: body.scene, Client: request.ClientAddr(r), Apps: h.apps}
}

// writeView answers with what the scan is, also after it was decided.
func (h *Handler) writeView(w http.ResponseWriter, view gateway.ScanView) {
	h.record.Passed(wechatapp.Authenticated)
	answer.WriteJSON(w, http.StatusOK, struct {
		Numbers     []int  `json:"numbers"`
		Browser     string `json:"browser"`
		SameNetwork bool   `json:"same_network"`
		ExpiresIn   int64  `json:"expires_in"`
	}{view.Numbers, view.Browser, view.SameNetwork, int64(view.ExpiresIn / time.Second)})
}
