package operate

import (
	"bytes"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/caddy-wechat/gateway/internal/wording"
)

func listCommand() *cobra.Command {
	var client adminClient
	var appID, userHash, after string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "Lists the sessions of a user, or of all who are logged in", Args: noArgs,
		Long: `
Lists the sessions of the user whose openid is on standard input, or, with
--user-hash, of the one that logs have by that name. With neither, it lists a page
of all who are logged in; "after" in the answer is for the next page.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if appID == "" {
				return wording.Errorf("name the app: --app <appid>")
			}
			body := map[string]any{"appid": appID}
			if cmd.Flags().Changed("limit") {
				body["limit"] = limit
			}
			if after != "" {
				body["after"] = after
			}
			switch {
			case userHash != "":
				body["user_hash"] = userHash
			case len(body) == 1:
				openID, err := readIfThere(cmd, "openid")
				if err != nil {
					return err
				}
				if openID != "" {
					body["openid"] = openID
				}
			}
			var answer map[string]any
			if err := client.call(http.MethodPost, "/wechat/sessions/list", body, &answer); err != nil {
				return err
			}
			return printJSON(cmd, answer)
		},
	}
	client.addFlags(cmd)
	cmd.Flags().StringVar(&appID, "app", "", "The AppID of the Mini Program")
	cmd.Flags().StringVar(&userHash, "user-hash", "", "The user, by the name in the logs; nothing is read from standard input")
	cmd.Flags().StringVar(&after, "after", "", "Where the page begins: what the page before says; nothing is read from standard input")
	cmd.Flags().IntVar(&limit, "limit", defaultPage, "How many users a page has, 1 to 1000; nothing is read from standard input")
	return cmd
}

// readIfThere reads the one line that must not be an argument. A terminal, and an
// input without anything in it, have none.
func readIfThere(cmd *cobra.Command, description string) (string, error) {
	in := cmd.InOrStdin()
	if file, ok := in.(*os.File); ok {
		info, err := file.Stat()
		if err != nil {
			return "", wording.Errorf("looking at standard input: %v", err)
		}
		if info.Mode()&os.ModeCharDevice != 0 {
			return "", nil
		}
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return "", wording.Errorf("reading %s from standard input: %v", wording.Textf(description), err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return "", nil
	}
	cmd.SetIn(bytes.NewReader(data))
	return readInput(cmd, description)
}
