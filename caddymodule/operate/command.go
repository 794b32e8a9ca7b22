package operate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

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

// maxInput bounds what is read from standard input.
const maxInput = 8 << 10

// adminClient talks to the admin endpoint of a running Caddy.
type adminClient struct{ address, config, adapter string }

func (c *adminClient) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.address, "address", "", "The address of the admin endpoint, if it is not the default and not in the configuration")
	cmd.Flags().StringVarP(&c.config, "config", "c", "", "The configuration that says where the admin endpoint is")
	cmd.Flags().StringVarP(&c.adapter, "adapter", "a", "", "The adapter of that configuration")
}

// call sends a request and decodes the answer. What the gateway refuses is an
// error in its words.
func (c *adminClient) call(method, path string, body, answer any) error {
	address, err := caddycmd.DetermineAdminAPIAddress(c.address, nil, c.config, c.adapter)
	if err != nil {
		return wording.Errorf("finding the admin endpoint: %v", err)
	}
	var payload io.Reader
	header := make(http.Header)
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(data)
		header.Set("Content-Type", "application/json")
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, path, header, payload)
	if err != nil {
		return wording.Errorf("asking Caddy at %s: %v", address, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return wording.Errorf("reading Caddy's answer: %v", err)
	}
	return nil
}

// readInput reads the one line that must not be an argument.
func readInput(cmd *cobra.Command, what string) (string, error) {
	data, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxInput+1))
	if err != nil {
		return "", wording.Errorf("reading %s from standard input: %v", wording.Textf(what), err)
	}
	text := string(bytes.TrimSpace(data))
	switch {
	case text == "":
		return "", wording.Errorf("standard input has no %s", wording.Textf(what))
	case len(data) > maxInput:
		return "", wording.Errorf("standard input is too long for one %s", wording.Textf(what))
	}
	return text, nil
}

func printJSON(cmd *cobra.Command, answer any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(answer)
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

// showHelp is what a command does that only has others below it.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// errArguments names no argument: it may be a token or an openid, and errors end up
// in logs and tickets.
const errArguments = "%s takes no such argument; tokens and openids are read from standard input"

// oneKey is for a command whose argument is the kid of a key.
func oneKey(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || !wechatapp.IsKeyID(args[0]) {
		return exitWith(cmd, exitUsage, wording.Errorf("%s takes the kid of one key; `caddy wechat status` lists them", cmd.CommandPath()))
	}
	return nil
}

// noArgs is for commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exitWith(cmd, exitUsage, wording.Errorf(errArguments, cmd.CommandPath()))
	}
	return nil
}

// flagError says which flag has a wrong value, but not the value, nor what is no
// flag at all.
func flagError(cmd *cobra.Command, err error) error {
	text := wording.Textf("unknown flag, or one without its value")
	var invalid interface{ GetValue() string }
	if errors.As(err, &invalid) && invalid.GetValue() != "" {
		text = wording.Textf("%s", strings.ReplaceAll(err.Error(), strconv.Quote(invalid.GetValue()), "given"))
	}
	return exitWith(cmd, exitUsage, wording.Errorf("%s: %s; --help lists the flags", cmd.CommandPath(), text))
}

// The statuses that commands exit with.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2
)

// errFailed ends a command with status 1, after it has said why.
var errFailed = errors.New("failed")

// exitWith makes the error by which a command ends the process with a status.
// err is shown; cobra shows no more.
func exitWith(cmd *cobra.Command, status int, err error) error {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err != nil {
		cmd.PrintErrln("Error:", wording.ErrorIn(err, languageOf(cmd)))
	}
	switch status {
	case exitFine:
		return nil
	case exitFailed:
		return errFailed
	}
	// Caddy's type for other statuses has no name outside its package.
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })(cmd, nil)
}
