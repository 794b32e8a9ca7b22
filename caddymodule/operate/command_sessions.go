package operate

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-wechat/gateway/internal/wording"
)

func sessionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sessions", Short: "Lists and ends sessions, keeps users out", Args: noArgs, RunE: showHelp,
		Long: `
Lists and ends sessions and keeps users out. The openid of the user is read from
standard input:

	echo <openid> | caddy wechat sessions list --app <appid>
	caddy wechat sessions list --app <appid> < /dev/null
	caddy wechat sessions list --app <appid> --user-hash <hash>
	echo <openid> | caddy wechat sessions end --app <appid>
	echo <openid> | caddy wechat sessions deny --app <appid> --for 24h
	echo <openid> | caddy wechat sessions set --app <appid> --user-id 42
	caddy wechat sessions end --app <appid> --everybody`,
	}
	cmd.AddCommand(
		listCommand(),
		userCommand("end", "Ends one session, all of a user, or all of an app", "/wechat/sessions/end", func(cmd *cobra.Command, body map[string]any) func() error {
			sessionID := cmd.Flags().String("session", "", "The session to end, as the list shows it; without it all of the user end")
			return func() error {
				if *sessionID != "" {
					body["session_id"] = *sessionID
				}
				return nil
			}
		}),
		userCommand("deny", "Ends the sessions of a user and lets none begin for a time", "/wechat/users/deny", func(cmd *cobra.Command, body map[string]any) func() error {
			until := cmd.Flags().String("until", "", "Until when, such as 2026-12-31T23:59:59Z")
			duration := cmd.Flags().Duration("for", 0, "For how long, such as 24h")
			return func() error {
				switch {
				case (*until == "") == (*duration <= 0):
					return wording.Errorf("name the time: either --until or --for")
				case *until != "":
					body["until"] = *until
				default:
					body["until"] = time.Now().Add(*duration).UTC().Format(time.RFC3339)
				}
				return nil
			}
		}),
		userCommand("set", "Changes the application's name for a user in all live sessions", "/wechat/users/set", func(cmd *cobra.Command, body map[string]any) func() error {
			userID := cmd.Flags().String("user-id", "", "The name, up to 64 characters of A-Z a-z 0-9 . _ : @ -; an empty one removes it")
			return func() error {
				if !cmd.Flags().Changed("user-id") {
					return wording.Errorf("name the user: --user-id <name>, or --user-id= to remove the name")
				}
				body["user_id"] = *userID
				return nil
			}
		}),
		userCommand("allow", "Lets a denied user log in again", "/wechat/users/allow", nil),
	)
	return cmd
}

// userCommand is a command about the user on standard input. options adds flags
// and returns what turns them into members of the body.
func userCommand(name, short, path string, options func(*cobra.Command, map[string]any) func() error) *cobra.Command {
	var client adminClient
	var appID string
	var everybody bool
	body := make(map[string]any)
	cmd := &cobra.Command{Use: name, Short: short, Args: noArgs}
	client.addFlags(cmd)
	cmd.Flags().StringVar(&appID, "app", "", "The AppID of the Mini Program")
	if name == "end" {
		cmd.Flags().BoolVar(&everybody, "everybody", false, "End all sessions of the app; nothing is read from standard input")
	}
	fill := func() error { return nil }
	if options != nil {
		fill = options(cmd, body)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if appID == "" {
			return wording.Errorf("name the app: --app <appid>")
		}
		if err := fill(); err != nil {
			return err
		}
		body["appid"] = appID
		if !everybody {
			openID, err := readInput(cmd, "openid")
			if err != nil {
				return err
			}
			body["openid"] = openID
		}
		var answer map[string]any
		if err := client.call(http.MethodPost, path, body, &answer); err != nil {
			return err
		}
		if err := printJSON(cmd, answer); err != nil {
			return err
		}
		if name == "end" && !everybody && answer["ended"] == 0.0 {
			return exitWith(cmd, exitFailed, wording.Errorf("nothing has ended: app %s has no live session of that openid, or not the one named", appID))
		}
		return nil
	}
	return cmd
}

// verdictWords say what each verdict means and what to do.
var verdictWords = map[string]string{
	"live":              "it counts: requests with it pass",
	"expired":           "it, or its session, is past its end; the Mini Program must log in again",
	"ended":             "its session was logged out, replaced by newer ones or ended by an operator",
	"unknown_app":       "it is for an app that the configuration does not have",
	"unknown_key":       "its key is not known here: made by another installation, or the key was dropped or rotated out",
	"wrong_signature":   "it was changed, or forged",
	"malformed":         "it is not a token of this gateway, or only a part of one",
	"store_unavailable": "its signature is good, but the session store cannot tell whether its session lives",
}

// errNotLive makes scripts see what people read.
var errNotLive = wording.Errorf("the token does not count")

func tokenCommand() *cobra.Command {
	var client adminClient
	var asJSON bool
	cmd := &cobra.Command{
		Use: "token", Short: "Explains the token on standard input", Args: noArgs,
		Long: `
Explains the token on standard input: whether it counts, for whom it was made and
with which key. The exit status is 0 if requests with it pass. Sites may still
refuse it if they do not list its app.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := readInput(cmd, "token")
			if err != nil {
				return err
			}
			var answer explanationBody
			if err := client.call(http.MethodPost, "/wechat/tokens/explain", map[string]string{"token": text}, &answer); err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd, answer)
			} else {
				answer.print(cmd)
			}
			if err == nil && answer.Answer != "" {
				err = errNotLive
			}
			return err
		},
	}
	client.addFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	return cmd
}

func (e explanationBody) print(cmd *cobra.Command) {
	language := languageOf(cmd)
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%-9s %s\n", name, wording.Textf(format, args...).In(language))
	}
	line("verdict", "%s: %s", e.Verdict, wording.Textf(verdictWords[e.Verdict]))
	if e.Answer != "" {
		line("answer", "%s", e.Answer)
	}
	if e.KeyID != "" {
		format := "%s"
		if e.Signs {
			format = "%s (signs new tokens)"
		}
		line("key", format, e.KeyID)
	}
	if e.Claims == nil {
		return
	}
	line("app", "%s", e.Claims.AppID)
	line("openid", "%s", e.Claims.OpenID)
	if e.Claims.UnionID != "" {
		line("unionid", "%s", e.Claims.UnionID)
	}
	line("user_hash", "%s", e.UserHash)
	line("session", "%s", e.Claims.SessionID)
	line("issued", "%s", e.Claims.IssuedAt.Format(time.RFC3339))
	line("expires", "%s", e.Claims.Expires.Format(time.RFC3339))
}
