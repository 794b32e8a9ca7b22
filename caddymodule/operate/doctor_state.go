package operate

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/keyring"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// checkStore finds out whether sessions can be kept.
func (e *examination) checkStore(ctx context.Context) []doctor.Finding {
	only := func(f doctor.Finding) []doctor.Finding { return []doctor.Finding{f} }
	switch {
	case e.storeError() != nil:
		return only(doctor.Failf(checkStore, "", wording.Textf(storeAction), "%v", e.storeError()))
	case e.wechat.App == nil || e.wechat.App.Store() == nil:
		return only(doctor.Skipf(checkStore, "", "not tested, because the configuration does not load"))
	}
	name := e.wechat.App.Store().CaddyModule().ID.Name()
	if err := e.wechat.App.Store().Probe(ctx); err != nil {
		return only(doctor.Failf(checkStore, name, wording.Textf(storeAction), "%v", err))
	}
	return only(doctor.OKf(checkStore, name, "it can be reached and written to"))
}

const storeAction = "see that the server or folder exists, that this machine and user may write to it, and that user and password are right"

// checkKeys says which keys there are.
func (e *examination) checkKeys(ctx context.Context) []doctor.Finding {
	only := func(f doctor.Finding) []doctor.Finding { return []doctor.Finding{f} }
	configured := len(e.settings.SigningKeys) > 0
	switch {
	case e.keysError() != nil:
		return only(doctor.Failf(checkKeys, "", wording.Textf("correct what the message names"), "%v", e.keysError()))
	case configured && (e.wechat.App == nil || e.wechat.App.Keys() == nil):
		return only(doctor.Skipf(checkKeys, "", "not tested, because the configuration does not load"))
	case configured:
		ring := e.wechat.App.Keys().Current()
		return only(doctor.OKf(checkKeys, "", "%s by signing_key; %s signs", countKeys(len(ring.IDs())), ring.Signer().ID()))
	case e.storage == nil:
		return only(doctor.Skipf(checkKeys, "", "not tested, because Caddy's storage cannot be opened"))
	}
	keys, err := keyring.Describe(ctx, e.storage)
	findings := describeKeys(keys, err, time.Duration(e.settings.KeyRotation), time.Now())
	if name, mode, err := wechatapp.Permissions(e.storage, keyring.StorageKey); err == nil && mode&0o070 != 0 {
		findings = append(findings, doctor.Warnf(checkKeys, name, wording.Textf("chmod 600 it, unless only the gateway's user is in the group, as with fsGroup of Kubernetes"),
			"its mode is %04o, so its group can read the signing keys", mode))
	}
	return findings
}

// describeKeys is about keys in Caddy's storage.
func describeKeys(keys []keyring.KeyInfo, err error, rotation time.Duration, now time.Time) []doctor.Finding {
	f := doctor.Finding{Check: checkKeys, Status: doctor.OK}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Status, f.Message = doctor.Warn, wording.Textf("there are no keys in Caddy's storage yet; the first start makes one")
		f.Action = wording.Textf("if the gateway has run before, run this command as the user and with the environment of the service")
		return []doctor.Finding{f}
	case err != nil:
		f.Status, f.Message = doctor.Fail, wording.Textf("%v", err)
		f.Action = wording.Textf("restore the file from a backup, or let the service's user read it; without it every session ends")
		return []doctor.Finding{f}
	}
	for _, key := range keys {
		if !key.Signing {
			continue
		}
		age := now.Sub(key.Signs)
		f.Message = wording.Textf("%s in Caddy's storage; %s signs, made %s ago", countKeys(len(keys)), key.ID, days(now.Sub(key.Made)))
		if rotation > 0 && age > 2*rotation {
			f.Status = doctor.Warn
			f.Message = wording.Textf("%s, although key_rotation is %s", f.Message, days(rotation))
			f.Action = wording.Textf("see that the gateway runs, with this storage, and may write to it; its log says why a key cannot be replaced")
		}
	}
	return []doctor.Finding{f}
}

func countKeys(n int) wording.Text {
	if n == 1 {
		return wording.Textf("1 key")
	}
	return wording.Textf("%d keys", n)
}

// days rounds a duration to what people say.
func days(d time.Duration) wording.Text {
	if d < 48*time.Hour {
		return wording.Textf("%s", d.Round(time.Minute))
	}
	return wording.Textf("%d days", int(d.Hours()/24))
}
