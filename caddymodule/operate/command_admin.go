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

	"github.com/caddy-wechat/gateway/internal/wording"
)

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
func readInput(cmd *cobra.Command, description string) (string, error) {
	data, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxInput+1))
	if err != nil {
		return "", wording.Errorf("reading %s from standard input: %v", wording.Textf(description), err)
	}
	text := string(bytes.TrimSpace(data))
	switch {
	case text == "":
		return "", wording.Errorf("standard input has no %s", wording.Textf(description))
	case len(data) > maxInput:
		return "", wording.Errorf("standard input is too long for one %s", wording.Textf(description))
	}
	return text, nil
}

func printJSON(cmd *cobra.Command, answer any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(answer)
}

// showHelp is what a command does that only has others below it.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// errArguments names no argument: it may be a token or an openid, and errors end up
// in logs and tickets.
const errArguments = "%s takes no such argument; tokens and openids are read from standard input"

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
