package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/caddymodule/survey"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// doctorOptions are the flags of `caddy wechat doctor`.
type doctorOptions struct {
	config, adapter string
	offline, json   bool
	language        wording.Language
}

func doctorCommand() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [--config <path> [--adapter <name>]] [--offline] [--json]",
		Short: "Finds out why logins fail, and says what to do",
		Long: `
Looks at a configuration and at what it needs, and prints one line per finding:
whether the configuration loads; whether each AppSecret is there; whether WeChat
accepts AppID, secret and IP address; whether WeChat's hosts can be reached, with
which certificate, and whether the clock is right; whether the session store
can be used; which keys sign; whether the login hook answers, and refuses what
nobody signed; whether the app behind each site gets true identity
headers and no forged ones; whether clients reach the gateway's routes; whether a
route goes around wechat_auth; and whether the gateway that runs with this
configuration has suspended logins.

Run it as the user and with the environment of the service. It may run beside it:
no listener, log file or admin endpoint of the configuration is opened, no login
code is spent, no key is made, and what it writes to test the store is removed
again. The requests of the header test go to a listener of its own, never to your
app. Other modules load as they do for caddy validate.

Exits with 0 if nothing failed (there may be warnings), 1 if something did, and 2
if it is used wrongly or the configuration cannot be read.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.language = languageOf(cmd)
			status, err := runDoctor(cmd.Context(), cmd.OutOrStdout(), o)
			return exitWith(cmd, status, err)
		},
	}
	cmd.Flags().StringVarP(&o.config, "config", "c", "", "Configuration file (default: Caddyfile in the current directory)")
	cmd.Flags().StringVarP(&o.adapter, "adapter", "a", "", "Name of the config adapter")
	cmd.Flags().BoolVar(&o.offline, "offline", false, "Do not call WeChat")
	cmd.Flags().BoolVar(&o.json, "json", false, "Print the findings as a JSON array")
	return cmd
}

// runDoctor prints the findings and returns the exit status; the error is of
// exitUsage.
func runDoctor(ctx context.Context, out io.Writer, o doctorOptions) (int, error) {
	if err := readable(o); err != nil {
		return exitUsage, err
	}
	// Caddy's adapters log, too.
	if _, err := caddy.ProvisionContext(&caddy.Config{Logging: silence()}); err != nil {
		return exitUsage, fmt.Errorf("silencing logs: %w", err)
	}
	var findings []doctor.Finding
	config, _, _, err := caddycmd.LoadConfig(o.config, o.adapter)
	if err != nil {
		findings = []doctor.Finding{{
			Check: checkConfig, Status: doctor.Fail, Message: wording.Textf("the configuration cannot be understood: %v", err),
			Action: wording.CorrectionOf(err),
		}}
	} else {
		findings = examine(ctx, config, o.offline)
	}
	write := doctor.WriteJSON
	if !o.json {
		write = func(w io.Writer, findings []doctor.Finding) error { return doctor.WriteText(w, o.language, findings) }
	}
	if err := write(out, findings); err != nil {
		return exitUsage, err
	}
	if doctor.Failed(findings) {
		return exitFailed, nil
	}
	return exitFine, nil
}

// readable tells a missing file from a wrong one.
func readable(o doctorOptions) error {
	name := o.config
	switch {
	case name == "" && o.adapter != "":
		return wording.Errorf("--adapter needs --config")
	case o.adapter != "" && caddyconfig.GetAdapter(o.adapter) == nil:
		return wording.Errorf("--adapter: there is no config adapter %q", o.adapter)
	case name == "-":
		return nil
	case name == "":
		name = "Caddyfile"
	}
	file, err := os.Open(name) //nolint:gosec // what the operator names
	if errors.Is(err, os.ErrNotExist) && o.config == "" {
		return wording.Errorf("there is no Caddyfile in this directory; name the configuration with --config")
	} else if err != nil {
		return wording.Errorf("reading configuration: %v", err)
	}
	return file.Close()
}

// checks are made in this order.
var checks = []struct {
	kinds    []string
	settings bool // whether the settings of wechat must be readable
	loads    bool // whether the configuration must load
	run      func(*examination, context.Context) []doctor.Finding
}{
	{kinds: []string{checkConfig}, run: (*examination).checkConfig},
	{kinds: []string{checkSecret}, settings: true, run: (*examination).checkSecrets},
	{kinds: []string{doctor.CheckCredentials, doctor.CheckConnection, doctor.CheckClock}, settings: true, run: (*examination).askWeChat},
	{kinds: []string{checkStore}, settings: true, run: (*examination).checkStore},
	{kinds: []string{checkKeys}, settings: true, run: (*examination).checkKeys},
	{kinds: []string{checkHook}, settings: true, run: (*examination).checkHook},
	{kinds: []string{checkHeaders, checkLogin}, settings: true, loads: true, run: (*examination).checkSites},
	{kinds: []string{checkCoverage}, settings: true, loads: true, run: (*examination).checkCoverage},
	{kinds: []string{checkRunning}, settings: true, run: (*examination).checkRunning},
}

// examine makes all checks on an adapted configuration.
func examine(ctx context.Context, config []byte, offline bool) []doctor.Finding {
	e := &examination{inspection: inspect(ctx, config), config: config, offline: offline}
	defer e.close()
	var unreadable *wording.Text
	e.settings, unreadable = wechatSettings(config)
	if e.err == nil {
		e.survey = survey.Of(e.ctx)
	}
	var findings []doctor.Finding
	for _, c := range checks {
		switch {
		case c.settings && unreadable != nil:
			findings = append(findings, skipped(*unreadable, c.kinds...)...)
		case c.loads && e.err != nil:
			findings = append(findings, skipped(wording.Textf("not tested, because the configuration does not load"), c.kinds...)...)
		default:
			findings = append(findings, c.run(e, ctx)...)
		}
	}
	return findings
}

func (e *examination) checkConfig(context.Context) []doctor.Finding {
	f := doctor.OKf(checkConfig, "", "the configuration loads")
	switch {
	case e.storeError() != nil:
		f = doctor.Failf(checkConfig, "", wording.Textf("see the line about the store"), "the configuration does not load because of the session store")
	case e.keysError() != nil:
		f = doctor.Failf(checkConfig, "", wording.Textf("see the line about the keys"), "the configuration does not load because of the signing keys")
	case e.err != nil:
		f = doctor.Failf(checkConfig, "", wording.CorrectionOf(e.err), "the configuration does not load: %v", e.err)
	}
	return []doctor.Finding{f}
}

// wechatSettings reads the settings of the app by themselves, so that most can
// be checked although the configuration does not load.
func wechatSettings(config []byte) (settings *wechatapp.App, unreadable *wording.Text) {
	why := func(text wording.Text) *wording.Text { return &text }
	var apps struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(config, &apps); err != nil {
		return nil, why(wording.Textf("not tested, because the configuration cannot be read"))
	}
	raw, configured := apps.Apps["wechat"]
	if !configured {
		return nil, why(wording.Textf("not tested, because the configuration has no global option wechat"))
	}
	read, err := wechatapp.ReadSettings(raw)
	if err != nil {
		return nil, why(wording.Textf("not tested, because the settings of wechat cannot be read"))
	}
	return read, nil
}

// checkSecrets examines every secret.
func (e *examination) checkSecrets(context.Context) (findings []doctor.Finding) {
	e.accounts, findings = checkSecrets(e.settings)
	return findings
}

// checkSecrets returns the apps whose secret is there, and a finding about each.
func checkSecrets(settings *wechatapp.App) ([]provider.Account, []doctor.Finding) {
	var accounts []provider.Account
	var findings []doctor.Finding
	for _, m := range settings.Apps {
		f := doctor.Finding{Check: checkSecret, Status: doctor.Fail, Action: wording.Textf("give the AppID and the secret as in: app wx1234567890abcdef {env.WECHAT_SECRET}")}
		if m == nil {
			f.Message = wording.Textf("null is not an app")
			findings = append(findings, f)
			continue
		}
		id, err := m.ResolveID()
		if err != nil {
			f.Message = wording.Textf("%v", err)
			findings = append(findings, f)
			continue
		}
		f.Subject = id
		secret, err := option.AppSecret.Resolve(m.Secret)
		switch {
		case errors.Is(err, option.ErrSwapped), errors.Is(err, option.ErrNotExpanded):
			f.Message = wording.Textf("the AppSecret %v%s", err, option.Position("app", m.AppID))
		case err != nil:
			f.Message = wording.Textf("the AppSecret is missing: %v%s", err, option.Position("app", m.AppID))
			f.Action = wording.Textf("set the variable in the environment of the service, or fix the file; run this command with the same environment and as the same user")
		case option.AppSecret.WrittenOut(m.Secret):
			f.Status, f.Message = doctor.Warn, wording.Textf("the AppSecret is written out in the configuration, and so in every copy of it")
			f.Action = wording.Textf("use a placeholder such as {env.WECHAT_SECRET} or {file./path}; {$NAME} would write it out again")
		case option.OddAppSecret(secret):
			f.Status, f.Message = doctor.Warn, wording.Textf("the AppSecret is not 32 hex digits, as WeChat makes them")
			f.Action = wording.Textf("check whether it was copied whole, and whether it is this app's")
		default:
			f.Status, f.Message, f.Action = doctor.OK, wording.Textf("the AppSecret is there"), wording.Text{}
		}
		findings = append(findings, f)
		if err == nil {
			accounts = append(accounts, provider.Account{ID: id, Secret: secret, Kind: m.KindOrDefault()})
		}
	}
	for _, setting := range otherSecretsWrittenOut(settings) {
		findings = append(findings, doctor.Finding{
			Check: checkSecret, Subject: setting.Name, Status: doctor.Warn,
			Message: wording.Textf("it is written out in the configuration, and so in every copy of it"),
			Action:  wording.Textf("use a placeholder such as {env.NAME} or {file./path}"),
		})
	}
	return accounts, findings
}

// otherSecretsWrittenOut are the settings besides the apps' own.
func otherSecretsWrittenOut(settings *wechatapp.App) (found []*option.SecretSetting) {
	var store struct {
		Password string `json:"password"`
		Secret   string `json:"secret"`
	}
	_ = json.Unmarshal(settings.StoreRaw, &store) // another store has others, or none
	hook := ""
	if settings.OnLogin != nil {
		hook = settings.OnLogin.Secret
	}
	texts := map[*option.SecretSetting][]string{
		option.SigningKey: settings.SigningKeys, option.APIProxy: {settings.APIProxy}, option.RedisPassword: {store.Password}, option.RedisSecret: {store.Secret}, option.HookSecret: {hook},
	}
	for _, setting := range option.SecretSettings {
		if slices.ContainsFunc(texts[setting], setting.WrittenOut) {
			found = append(found, setting)
		}
	}
	return found
}

// askWeChat makes the checks that need WeChat.
func (e *examination) askWeChat(ctx context.Context) []doctor.Finding {
	checks := []string{doctor.CheckCredentials, doctor.CheckConnection, doctor.CheckClock}
	if e.offline {
		return skipped(wording.Textf("not tested, because of --offline"), checks...)
	}
	client, err := e.settings.NewClient()
	if err != nil {
		return skipped(wording.Textf("not tested: %v", err), checks...)
	}
	defer client.Close()
	var findings []doctor.Finding
	for _, account := range e.accounts {
		if wechatapp.HasAccessToken(account.Kind) {
			f := doctor.Credentials(ctx, client, account)
			findings = append(findings, f)
			if f.Status != doctor.OK {
				continue // the other call would say the same
			}
		}
		if account.Kind != provider.MiniProgram {
			findings = append(findings, doctor.OAuth2(ctx, client, account))
		}
	}
	return append(findings, doctor.Connections(ctx, client, e.settings.API, e.settings.APIProxy != "")...)
}

// checkCoverage names what is wrong with the routes.
func (e *examination) checkCoverage(context.Context) []doctor.Finding {
	var findings []doctor.Finding
	for _, n := range e.survey.Notices {
		if n.Kind == checkCoverage {
			findings = append(findings, doctor.Warnf(checkCoverage, n.Place, n.Fix, "%s", n.Message))
		}
	}
	switch {
	case len(findings) > 0:
		return findings
	case len(e.survey.Sites) == 0:
		return []doctor.Finding{doctor.Warnf(checkCoverage, "", wording.Textf("write wechat_auth into the site, before its reverse_proxy"), "no site has wechat_auth, so nobody can log in")}
	}
	return []doctor.Finding{doctor.OKf(checkCoverage, "", "no route goes around wechat_auth")}
}
