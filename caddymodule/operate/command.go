package operate

import (
	"net/http"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/wording"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:      "wechat",
		Usage:     "doctor|status|sessions|token|drop-key",
		Short:     "Looks after WeChat Mini Program logins",
		Long:      wechatHelp,
		CobraFunc: addCommands,
	})
}

const wechatHelp = `
Commands for the people who run the gateway. doctor examines a configuration; the
others talk to a running Caddy through its admin endpoint. Users are named on
standard input and never in an argument, which other users of the machine and the
history of the shell could show.`

func addCommands(cmd *cobra.Command) {
	cmd.Args = noArgs
	cmd.RunE = showHelp
	cmd.SetFlagErrorFunc(flagError) // of its subcommands, too
	cmd.AddCommand(doctorCommand(), statusCommand(), sessionsCommand(), tokenCommand(), dropKeyCommand())
	speakLanguages(cmd)
}

func statusCommand() *cobra.Command {
	var client adminClient
	cmd := &cobra.Command{
		Use: "status", Short: "Shows apps, sessions, breakers, store and keys as JSON", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer map[string]any
			if err := client.call(http.MethodGet, "/wechat/status", nil, &answer); err != nil {
				return err
			}
			return printJSON(cmd, answer)
		},
	}
	client.addFlags(cmd)
	return cmd
}

func dropKeyCommand() *cobra.Command {
	var client adminClient
	cmd := &cobra.Command{
		Use: "drop-key <kid>", Short: "Makes all tokens of a signing key not count any more", Args: oneKey,
		Long: `
Makes all tokens of a signing key not count any more, on every node, and shows
the keys that are left. Sessions live on, but their users log in again, which
they do not notice. With signing_key in the configuration, remove the key there,
too.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var answer map[string]any
			if err := client.call(http.MethodDelete, "/wechat/keys/"+args[0], nil, &answer); err != nil {
				return err
			}
			return printJSON(cmd, answer)
		},
	}
	client.addFlags(cmd)
	return cmd
}

// oneKey is for a command whose argument is the kid of a key.
func oneKey(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || !wechatapp.IsKeyID(args[0]) {
		return exitWith(cmd, exitUsage, wording.Errorf("%s takes the kid of one key; `caddy wechat status` lists them", cmd.CommandPath()))
	}
	return nil
}
