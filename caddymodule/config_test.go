package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-wechat/gateway/internal/keyring"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func adapt(text string) ([]byte, []caddyconfig.Warning, error) {
	return caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
}

// Each file is a Caddyfile, ten dashes, and the JSON it becomes or the error.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			const separator = "\n----------\n"
			input, want, _ := strings.Cut(string(data), separator)
			config, warnings, err := adapt(input + "\n") // warns unless it is formatted
			got := ""
			if err != nil {
				got = err.Error() + "\n"
			} else {
				var pretty bytes.Buffer
				if err := json.Indent(&pretty, config, "", "\t"); err != nil {
					t.Fatal(err)
				}
				got = pretty.String() + "\n"
			}
			if len(warnings) > 0 {
				t.Errorf("warnings: %v", warnings)
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+separator+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// site puts global options and a site's options into a Caddyfile.
func siteText(global, site string) string {
	return "{\n\tadmin off\n\twechat {\n" + global + "\n\t}\n}\nhttp://127.0.0.1:0 {\n\twechat_auth {\n" + site + "\n\t}\n}\n"
}

const (
	oneApp      = "app wx1234567890abcdef {env.WECHAT_TEST_SECRET}"
	twoAccounts = "app wx2222222222222222 {env.WECHAT_TEST_SECRET} official_account\napp wx3333333333333333 {env.WECHAT_TEST_SECRET} website"
)

// A mistake does not load, and the message says which setting on which line.
func TestMistakesDoNotLoad(t *testing.T) {
	t.Setenv("WECHAT_TEST_SECRET", "s3cr3t-value")
	t.Setenv("WECHAT_TEST_EMPTY", "")
	for name, tc := range map[string]struct {
		global, site string
		want         []string
	}{
		"unknown global option":     {oneApp + "\nnonsense", "", []string{`"nonsense"`, "Caddyfile:5"}},
		"repeated global option":    {oneApp + "\napi_timeout 1s\napi_timeout 2s", "", []string{"api_timeout", "once", "Caddyfile:6"}},
		"no app":                    {"api_timeout 1s", "", []string{"no app", "Caddyfile:"}},
		"app without secret":        {"app wx1234567890abcdef", "", []string{"app", "secret", "Caddyfile:4"}},
		"app twice":                 {oneApp + "\n" + oneApp, "", []string{"twice", "Caddyfile:5"}},
		"empty secret":              {`app wx1234567890abcdef ""`, "", []string{"secret", "empty", "Caddyfile:4"}},
		"unset secret":              {"app wx1234567890abcdef {env.WECHAT_TEST_UNSET}", "", []string{"secret", "{env.WECHAT_TEST_UNSET}", "Caddyfile:4"}},
		"secret set but empty":      {"app wx1234567890abcdef {env.WECHAT_TEST_EMPTY}", "", []string{"secret", "{env.WECHAT_TEST_EMPTY}", "Caddyfile:4"}},
		"missing secret file":       {"app wx1234567890abcdef {file./nonexistent/secret}", "", []string{"secret", "{file./nonexistent/secret}", "Caddyfile:4"}},
		"unknown placeholder":       {"app wx1234567890abcdef {nonsense}", "", []string{"secret", "{nonsense}", "Caddyfile:4"}},
		"not an AppID":              {"app wx/../x secret", "", []string{"app", "AppID", "Caddyfile:4"}},
		"unknown kind":              {"app wx1234567890abcdef {env.WECHAT_TEST_SECRET} nonsense", "", []string{`"nonsense"`, "official_account", "Caddyfile:4"}},
		"empty kind":                {`app wx1234567890abcdef {env.WECHAT_TEST_SECRET} ""`, "", []string{"kind", "empty", "Caddyfile:4"}},
		"too much behind app":       {"app wx1234567890abcdef {env.WECHAT_TEST_SECRET} mobile website", "", []string{"app", "Caddyfile:4"}},
		"unknown option of app":     {"app wx1234567890abcdef {env.WECHAT_TEST_SECRET} {\nnonsense\n}", "", []string{`"nonsense"`, "Caddyfile:5"}},
		"unionid of another kind":   {"app wx1234567890abcdef {env.WECHAT_TEST_SECRET} {\nunionid followers\n}", "", []string{"unionid", "official_account", "Caddyfile:"}},
		"unionid of somebody else":  {"app wx1234567890abcdef {env.WECHAT_TEST_SECRET} official_account {\nunionid everybody\n}", "", []string{"unionid", "followers", "Caddyfile:"}},
		"unionid twice":             {"app wx1234567890abcdef {env.WECHAT_TEST_SECRET} official_account {\nunionid followers\nunionid followers\n}", "", []string{"unionid", "once", "Caddyfile:6"}},
		"authorize_base with path":  {oneApp + "\nauthorize_base https://open.weixin.qq.com/connect", "", []string{"authorize_base", "Caddyfile:5"}},
		"authorize_base in plain":   {oneApp + "\nauthorize_base http://open.weixin.qq.com", "", []string{"authorize_base", "plain http", "Caddyfile:5"}},
		"short key":                 {oneApp + "\nsigning_key c2hvcnQ=", "", []string{"signing_key", "5 bytes", "openssl rand -base64 32", "Caddyfile:5"}},
		"key that is no base64":     {oneApp + "\nsigning_key !!!", "", []string{"signing_key", "base64", "Caddyfile:5"}},
		"key of zeros":              {oneApp + "\nsigning_key AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "", []string{"signing_key", "not random", "Caddyfile:5"}},
		"unset key":                 {oneApp + "\nsigning_key {env.WECHAT_TEST_UNSET}", "", []string{"signing_key", "{env.WECHAT_TEST_UNSET}", "Caddyfile:5"}},
		"short key in a variable":   {oneApp + "\nsigning_key {env.WECHAT_TEST_SECRET}", "", []string{"signing_key", "Caddyfile:5"}},
		"no key":                    {oneApp + "\nsigning_key", "", []string{"signing_key", "Caddyfile:5"}},
		"lifetimes":                 {oneApp + "\nsession {\ntoken_lifetime 3h\nmax_lifetime 2h\n}", "", []string{"token_lifetime", "max_lifetime", "Caddyfile:"}},
		"token longer than default": {oneApp + "\nsession {\ntoken_lifetime 31d\n}", "", []string{"token_lifetime", "max_lifetime", "Caddyfile:"}},
		"no duration":               {oneApp + "\nsession {\ntoken_lifetime soon\n}", "", []string{"token_lifetime", `"soon"`, "Caddyfile:6"}},
		"no number":                 {oneApp + "\nsession {\nmax_per_user many\n}", "", []string{"max_per_user", `"many"`, "Caddyfile:6"}},
		"zero sessions":             {oneApp + "\nsession {\nmax_per_user 0\n}", "", []string{"max_per_user", "Caddyfile:6"}},
		"unknown session option":    {oneApp + "\nsession {\nnonsense\n}", "", []string{"nonsense", "Caddyfile:6"}},
		"unknown store":             {oneApp + "\nstore nonsense", "", []string{"nonsense", "Caddyfile:5"}},
		"unknown store option":      {oneApp + "\nstore memory {\nnonsense\n}", "", []string{"nonsense", "Caddyfile:6"}},
		"bad max_sessions":          {oneApp + "\nstore memory {\nmax_sessions -1\n}", "", []string{"max_sessions", "Caddyfile:6"}},
		"plain http":                {oneApp + "\napi http://api.weixin.qq.com", "", []string{"api", "loopback", "Caddyfile:5"}},
		"api is no URL":             {oneApp + "\napi weixin", "", []string{"api", "Caddyfile:5"}},
		"bad proxy":                 {oneApp + "\napi_proxy ftp://x", "", []string{"api_proxy", "Caddyfile:5"}},
		"bad limit":                 {oneApp + "\nlogin_limit many 1m", "", []string{"login_limit", "Caddyfile:5"}},
		"half a limit":              {oneApp + "\nlogin_limit 300", "", []string{"login_limit", "Caddyfile:5"}},
		"unknown site option":       {oneApp, "nonsense", []string{`"nonsense"`, "the options are: app, assertion, ", "Caddyfile:9"}},
		"misspelled site option":    {oneApp, "prefixes /a", []string{`"prefixes", did you mean "prefix"?`, "Caddyfile:9"}},
		"misspelled global option":  {oneApp + "\nsigning-keys {env.X}", "", []string{`did you mean "signing_key"?`, "Caddyfile:5"}},
		"no option at all":          {oneApp + "\n0123456789abcdef0123456789abcdef", "", []string{"this is no option", "Caddyfile:5"}},
		"repeated site option":      {oneApp, "prefix /a\nprefix /b", []string{"prefix", "once", "Caddyfile:10"}},
		"foreign app":               {oneApp, "app wxfedcba0987654321", []string{"app", "wxfedcba0987654321", "Caddyfile:9"}},
		"site without app":          {oneApp + "\napp wxfedcba0987654321 {env.WECHAT_TEST_SECRET}", "", []string{"app", "wx1234567890abcdef wxfedcba0987654321", "Caddyfile:9"}},
		"prefix is the root":        {oneApp, "prefix /", []string{"prefix", "Caddyfile:9"}},
		"prefix not canonical":      {oneApp, "prefix /a/../b", []string{"prefix", "Caddyfile:9"}},
		"prefix with a slash":       {oneApp, "prefix /a/", []string{"prefix", "Caddyfile:9"}},
		"public everything":         {oneApp, "public /*", []string{"public", "/*", "Caddyfile:9"}},
		"public root":               {oneApp, "public /", []string{"public", "Caddyfile:9"}},
		"public star":               {oneApp, "public *", []string{"public", "Caddyfile:9"}},
		"public login":              {oneApp, "public /wechat/login", []string{"public", "/wechat", "Caddyfile:9"}},
		"public prefix":             {oneApp, "public /WeChat/*", []string{"public", "/wechat", "Caddyfile:9"}},
		"public later prefix":       {oneApp, "public /gate/*\nprefix /gate", []string{"public", "/gate", "Caddyfile:"}},
		"public suffix":             {oneApp, "public *.png", []string{"public", "*.png", "Caddyfile:9"}},
		"public half a segment":     {oneApp, "public /static*", []string{"public", "/static*", "Caddyfile:9"}},
		"public nothing":            {oneApp, "public", []string{"public", "Caddyfile:9"}},
		"public empty block":        {oneApp, "public {\n}", []string{"public", "Caddyfile:"}},
		"public matcher for all":    {oneApp, "public {\npath /*\n}", []string{"public", "/*", "Caddyfile:"}},
		"public two stars":          {oneApp, "public {\npath **\n}", []string{"public", "covers /", "Caddyfile:9"}},
		"public star slash star":    {oneApp, "public {\npath */*\n}", []string{"public", "Caddyfile:9"}},
		"public any segment":        {oneApp, "public {\npath /*/*\n}", []string{"public", "Caddyfile:9"}},
		"public any letter":         {oneApp, "public {\npath /[a-z]*[a-z0-9]\n}", []string{"public", "Caddyfile:9"}},
		"public prefix by a star":   {oneApp, "public {\npath /wech*\n}", []string{"public", "/wechat", "Caddyfile:9"}},
		"public regexp for all":     {oneApp, "public {\npath_regexp ^.*$\n}", []string{"public", "cover /", "Caddyfile:9"}},
		"public regexp for more":    {oneApp, "public {\npath_regexp ^/.+$\n}", []string{"public", "Caddyfile:9"}},
		"public half anchored":      {oneApp, "public {\npath_regexp ^/static|/health$\n}", []string{"public", "anchored as a whole", "Caddyfile:9"}},
		"public anchored in lines":  {oneApp, "public {\npath_regexp (?m)^/health$\n}", []string{"public", "anchored", "Caddyfile:9"}},
		"public all but something":  {oneApp, "public {\nnot path /api/*\n}", []string{"public", "cover /"}},
		"public by any method":      {oneApp, "public {\nmethod GET HEAD\n}", []string{"public", "cover /"}},
		"public by an expression":   {oneApp, "public {\nexpression path('/wechat/*')\n}", []string{"public", "/wechat"}},
		"public every page":         {oneApp, "public {\nexpression {path}.matches('^/[a-z0-9]+$')\n}", []string{"public"}},
		"public loose regexp":       {oneApp, "public {\npath_regexp health\n}", []string{"public", "anchored", "Caddyfile:"}},
		"paths and block":           {oneApp, "public /a {\nmethod GET\n}", []string{"public", "not both", "Caddyfile:"}},
		"empty optional block":      {oneApp, "optional {\n}", []string{"optional", "empty", "Caddyfile:"}},
		"unknown header field":      {oneApp, "header nickname X-Name", []string{"header", "Caddyfile:9"}},
		"header field twice":        {oneApp, "header openid X-A\nheader openid X-B", []string{"header", "openid", "once", "Caddyfile:10"}},
		"header named Host":         {oneApp, "header openid Host", []string{"header", "Host", "Caddyfile:9"}},
		"one header for two":        {oneApp, "header openid X-A\nheader unionid x-a", []string{"header openid", "header unionid", "Caddyfile:10"}},
		"token nowhere":             {oneApp, "token body x", []string{"token", "body", "Caddyfile:9"}},
		"token in an identity":      {oneApp, "token header x-wechat-openid", []string{"token", "x-wechat-openid", "identity header"}},
		"token in Host":             {oneApp, "token header Host", []string{"token", "Host", "Caddyfile:9"}},
		"token without name":        {oneApp, "token cookie", []string{"token", "Caddyfile:9"}},
		"unknown preset":            {oneApp, "headers wafer", []string{"headers", "wafer", "Caddyfile:9"}},
		"no preset":                 {oneApp, "headers", []string{"headers", "Caddyfile:9"}},
		"unknown preset option":     {oneApp, "headers cloud_hosting {\nnonsense x\n}", []string{"headers", "nonsense", "Caddyfile:10"}},
		"option of another preset":  {oneApp, "headers default {\nenv_id x\n}", []string{"headers", "env_id", "Caddyfile:10"}},
		"owner is no AppID":         {oneApp, "headers cloud_hosting {\nreuse a/b\n}", []string{"reuse", "AppID", "Caddyfile:10"}},
		"renamed preset":            {oneApp, "headers cloud_hosting\nheader openid X-A", []string{"header", "openid", "cloud_hosting"}},
		"session as the preset's":   {oneApp, "headers cloud_hosting\nheader session_id X-WX-Env", []string{"header", "session_id", "X-WX-Env", "cloud_hosting"}},
		"assertion without header":  {oneApp, "assertion", []string{"assertion", "Caddyfile:9"}},
		"assertion in Host":         {oneApp, "assertion Host", []string{"Host", "Caddyfile:9"}},
		"assertion in X-OpenID":     {oneApp, "assertion X_OpenID", []string{"X_OpenID"}},
		"assertion as the openid":   {oneApp, "assertion X-OpenID", []string{"assertion: ", "header openid", "X-Openid"}},
		"assertion as own openid":   {oneApp, "header openid X-Me\nassertion x-me", []string{"assertion: ", "header openid", "X-Me"}},
		"assertion of the preset":   {oneApp, "headers cloud_hosting\nassertion X-WX-OpenID", []string{"assertion: ", "headers cloud_hosting", "X-Wx-Openid"}},
		"long assertion":            {oneApp, "assertion X-Signed {\nlifetime 2m\n}", []string{"lifetime", "Caddyfile:10"}},
		"unknown assertion option":  {oneApp, "assertion X-Signed {\nnonsense\n}", []string{"nonsense", "Caddyfile:10"}},
		"browser with an argument":  {oneApp, "browser on", []string{"Caddyfile:9"}},
		"unknown browser option":    {oneApp, "browser {\nnonsense\n}", []string{"nonsense", "Caddyfile:10"}},
		"browser option twice":      {oneApp, "browser {\ncookie a\ncookie b\n}", []string{"cookie", "once", "Caddyfile:11"}},
		"unknown challenge":         {oneApp, "browser {\nchallenge always\n}", []string{"challenge", "navigate", "Caddyfile:10"}},
		"cookie with __Host-":       {oneApp, "browser {\ncookie __Host-shop\n}", []string{"cookie", "bare name", "Caddyfile:10"}},
		"cookie with a space":       {oneApp, "browser {\ncookie \"a b\"\n}", []string{"cookie", "Caddyfile:10"}},
		"long browser lifetime":     {oneApp, "browser {\nlifetime 31d\n}", []string{"lifetime", "max_lifetime 720h"}},
		"no browser lifetime":       {oneApp, "browser {\nlifetime soon\n}", []string{"lifetime", "Caddyfile:10"}},
		"in_wechat of another kind": {oneApp, "browser {\nin_wechat wx1234567890abcdef\n}", []string{"in_wechat", "mini_program", "official_account"}},
		"elsewhere of another kind": {twoAccounts, "app wx2222222222222222 wx3333333333333333\nbrowser {\nelsewhere wx2222222222222222\n}", []string{"elsewhere", "official_account", "website"}},
		"in_wechat of nobody":       {oneApp, "browser {\nin_wechat wx2222222222222222\n}", []string{"in_wechat", "wx2222222222222222"}},
		"in_wechat is no AppID":     {oneApp, "browser {\nin_wechat a/b\n}", []string{"in_wechat", "AppID", "Caddyfile:10"}},
		"several official accounts": {twoAccounts + "\napp wx4444444444444444 {env.WECHAT_TEST_SECRET} official_account", "app wx2222222222222222 wx3333333333333333 wx4444444444444444", []string{"in_wechat", "name one"}},
		"several websites":          {twoAccounts + "\napp wx4444444444444444 {env.WECHAT_TEST_SECRET} website", "app wx2222222222222222 wx3333333333333333 wx4444444444444444", []string{"elsewhere", "name one"}},
		"scan without a page":       {oneApp, "browser {\nscan " + testApp + "\n}", []string{"argument", "Caddyfile:10"}},
		"scan with a slash":         {oneApp, "browser {\nscan " + testApp + " /pages/scan\n}", []string{"scan", "without the slash", "Caddyfile:10"}},
		"scan with a query":         {oneApp, "browser {\nscan " + testApp + " pages/scan?a=1\n}", []string{"scan", "app.json", "Caddyfile:10"}},
		"scan of no version":        {oneApp, "browser {\nscan " + testApp + " pages/scan beta\n}", []string{"scan", "release, trial or develop", "Caddyfile:10"}},
		"scan of another app":       {oneApp, "browser {\nscan " + otherApp + " pages/scan\n}", []string{"scan", otherApp, "not one of this site"}},
		"trust_origin with a path":  {oneApp, "browser {\ntrust_origin https://a.example/\n}", []string{"trust_origin", "Caddyfile:10"}},
		"trust_origin by a star":    {oneApp, "browser {\ntrust_origin https://*.example\n}", []string{"trust_origin", "Caddyfile:10"}},
		"trust_origin never sent":   {oneApp, "browser {\ntrust_origin https://a.example:443\n}", []string{"trust_origin", "never match", "Caddyfile:10"}},
		"trust_origin of nobody":    {oneApp, "browser {\ntrust_origin\n}", []string{"trust_origin", "Caddyfile:10"}},
		"token in the browser's":    {oneApp, "token cookie wechat_session", []string{"token", "wechat_session", "browser"}},
		"one_trip with value":       {oneApp, "one_trip on", []string{"Caddyfile:9"}},
		"one_trip twice":            {oneApp, "one_trip\none_trip", []string{"one_trip", "once", "Caddyfile:10"}},
		"forward_token with value":  {oneApp, "forward_token yes", []string{"Caddyfile:9"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, siteText(tc.global, tc.site))
			if err == nil {
				t.Fatal("it loads")
			}
			explainedInChinese(t, err)
			for _, want := range append(tc.want, "Caddyfile:") { // wherever it is found out, the message says the line
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in the message: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cr3t-value") {
				t.Errorf("the secret is in the message: %v", err)
			}
		})
	}
}

// What looks alike and opens no more than it says loads.
func TestNarrowPublicPatternsLoad(t *testing.T) {
	t.Setenv("WECHAT_TEST_SECRET", "s3cr3t-value")
	for _, site := range []string{
		"public /wechat/static/*\nprefix /gw", "prefix /gw\npublic /wechat/static/*", "public {\npath /static/* *.css\n}", "public {\npath /e*\n}",
		"public {\npath_regexp ^/(static|health)(/[a-z]+)?$\n}", "public {\npath_regexp ^(/static|/health)$|^/up$\n}", "public {\nmethod OPTIONS\n}",
		"public {\nheader X-Probe yes\n}", "public {\nremote_ip 10.0.0.0/8\n}", "public {\nmethod GET\npath /static/*\n}", "public {\nhost static.example.com\n}",
		"public {\nexpression path('/health')\n}",
	} {
		if err := validate(t, siteText(oneApp, site)); err != nil {
			t.Errorf("%s: %v", site, err)
		}
	}
	// The pages that patterns are tried on are made up anew each time.
	for range 200 {
		if _, _, err := adapt(siteText(oneApp, "public {\npath /e*\n}")); err != nil {
			t.Fatal(err)
		}
	}
}

// validate does what `caddy validate` does, with a storage of its own.
func validate(t *testing.T, text string) error {
	t.Helper()
	config, _, err := adapt(text)
	if err != nil {
		return err
	}
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		return err
	}
	parsed.StorageRaw = json.RawMessage(`{"module":"file_system","root":` + string(mustJSON(t, t.TempDir())) + `}`)
	return caddy.Validate(&parsed)
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The Caddyfiles that people start from.
func TestCaddyfilesAreFormattedAndValid(t *testing.T) {
	for _, name := range []string{"Caddyfile.example", "docs/deploy/nodes.Caddyfile", "docs/deploy/packaging/Caddyfile"} {
		data, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if formatted := caddyfile.Format(data); !bytes.Equal(formatted, data) {
			t.Errorf("%s is not formatted; formatted it is:\n%s", name, formatted)
		}
		if _, warnings, err := adapt(string(data)); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, warnings %v", name, err, warnings)
		}
	}
}

// A key file that other users can read, or that is damaged, stops the start.
func TestKeyFileIsLookedAt(t *testing.T) {
	root := t.TempDir()
	text := `{"storage":{"module":"file_system","root":` + string(mustJSON(t, root)) + `},"apps":{"wechat":{"app":[{"appid":"wx1234567890abcdef","secret":"x"}]}}}`
	try := func() error {
		var config caddy.Config
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
		config.Admin = &caddy.AdminConfig{Disabled: true}
		return caddy.Validate(&config)
	}
	if _, err := keyring.Open(t.Context(), &certmagic.FileStorage{Path: root}, keyring.Settings{Rotation: 30 * 24 * time.Hour, TokenLifetime: 2 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "wechat", "keys.json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	for mode, loads := range map[os.FileMode]bool{0o644: false, 0o604: false, 0o602: false, 0o661: false, 0o660: true, 0o640: true} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if err := try(); (err == nil) != loads || err != nil && !strings.Contains(err.Error(), "chmod 600 "+file) {
			t.Errorf("O8: mode %04o: %v", mode, err)
		}
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	if err := try(); err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "backup") {
		t.Errorf("O6: truncated: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Size() != 100 {
		t.Errorf("O6: the damaged file was replaced: %v, %v", info, err)
	}
}
