package operate

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-wechat/gateway/internal/wording"
)

const languageFlag = "lang"

// languageValue is the flag --lang.
type languageValue struct{ wording.Language }

func (v *languageValue) String() string { return string(v.Language) }
func (v *languageValue) Type() string   { return "en|zh" }
func (v *languageValue) Set(name string) (err error) {
	v.Language, err = wording.Parse(name)
	return err
}

// speakLanguages makes a command, and all below it, speak the language that --lang
// names, or that of the locale.
func speakLanguages(cmd *cobra.Command) {
	cmd.PersistentFlags().Var(new(languageValue), languageFlag, "The language to speak, en or zh; that of the locale if it is not given")
	original := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if languageOf(cmd) == wording.Chinese {
			translateHelp(cmd)
		}
		original(cmd, args)
	})
	translateErrors(cmd)
}

// languageOf is the language of whoever typed a command.
func languageOf(cmd *cobra.Command) wording.Language {
	if flag := cmd.Flag(languageFlag); flag != nil {
		if value, ok := flag.Value.(*languageValue); ok && value.Language != "" {
			return value.Language
		}
	}
	return wording.OfLocale(os.Getenv)
}

// translateErrors makes what commands return readable for whoever typed them: Caddy
// prints the text of an error as it is.
func translateErrors(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			if err == nil || languageOf(cmd) == wording.English {
				return err
			}
			return translatedError{err}
		}
	}
	for _, below := range cmd.Commands() {
		translateErrors(below)
	}
}

// translatedError is an error in Chinese.
type translatedError struct{ error }

func (e translatedError) Error() string { return wording.ErrorIn(e.error, wording.Chinese) }
func (e translatedError) Unwrap() error { return e.error }

// translateHelp puts Chinese in place of the help of a command.
func translateHelp(cmd *cobra.Command) {
	translate := func(cmd *cobra.Command) {
		if zh, ok := helpInChinese[cmd.CommandPath()[len(cmd.Root().Name())+1:]]; ok {
			cmd.Short, cmd.Long = zh.short, zh.long
		}
	}
	translate(cmd)
	for _, below := range cmd.Commands() {
		translate(below)
	}
	usage := func(flag *pflag.Flag) {
		if zh, ok := flagsInChinese[flag.Name]; ok {
			flag.Usage = zh
		}
	}
	cmd.Flags().VisitAll(usage)
	cmd.InheritedFlags().VisitAll(usage)
}
