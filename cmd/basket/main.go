// Command basket serves, scores and inspects tree models, and computes their
// features. Run it without arguments for help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"github.com/basket-go/basket"
	"golang.org/x/term"
)

// cli is the command line, as kong reads it.
type cli struct {
	Serve       serveCmd       `cmd:"" help:"Serve predictions over HTTP: POST /predict and /predict/batch, GET /status, /livez and /readyz; /docs shows all paths."`
	Features    featuresCmd    `cmd:"" help:"Compute the feature row of each user from a folder of orders."`
	Score       scoreCmd       `cmd:"" help:"Predict for each row of a parquet or CSV file."`
	Materialize materializeCmd `cmd:"" help:"Write the feature row of each user where basket serve --store reads it: a file, Redis or Postgres."`
	Feed        feedCmd        `cmd:"" help:"Follow a Kafka topic of orders, and keep each user's newest feature row in Redis or Postgres."`
	Publish     publishCmd     `cmd:"" help:"Write a folder of orders to a Kafka topic, as events for basket feed."`
	Explain     explainCmd     `cmd:"" help:"Attribute the margin of each row of a file to its features (SHAP)."`
	Profile     profileCmd     `cmd:"" help:"Describe the rows and predictions of a model, to compare with what is served later."`
	Drift       driftCmd       `cmd:"" help:"Compare the predictions of a model log with a profile."`
	Inspect     inspectCmd     `cmd:"" help:"Describe a model file."`
	Compare     compareCmd     `cmd:"" help:"Tell whether the routes of a prediction log differ, and which model predicts orders better."`
	Key         keyCmd         `cmd:"" help:"Make API keys."`
}

// A terminal is where a command writes to its user.
type terminal struct {
	out, err io.Writer
}

// interactive reports whether a user sees what is written to err.
func (t terminal) interactive() bool {
	f, ok := t.err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func main() {
	// The first signal cancels the context, the second ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], terminal{os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run runs the program and returns its exit status. It reports each failure in
// one line.
func run(ctx context.Context, args []string, t terminal) (code int) {
	var c cli
	exited := false
	raw := rawFlags{}
	parser, err := kong.New(&c, append(raw.options(),
		kong.Name("basket"),
		kong.Description("Tree-model prediction with the features it needs."),
		kong.Writers(t.out, t.err),
		kong.Exit(func(status int) { exited, code = true, status }), // after --help
		kong.Vars{"features": strings.Join(basket.FeatureNames(), ", ")},
	)...)
	if err != nil {
		return fail(t, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited {
		return code
	}
	if err != nil {
		return fail(t, fmt.Errorf("%w; see basket --help", err))
	}
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(t, raw); err != nil {
		return fail(t, err)
	}
	return 0
}

// fail prints each of the errors that were joined to err in one line. File names and
// file contents may be part of them, so what could control a terminal is escaped.
func fail(t terminal, err error) int {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && isJoined(err) {
		for _, err := range joined.Unwrap() {
			fail(t, err)
		}
		return 1
	}
	text := printable(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
	if !strings.HasPrefix(text, "basket: ") {
		text = "basket: " + text
	}
	fmt.Fprintln(t.err, text)
	return 1
}

// isJoined reports whether err is of [errors.Join], which adds no text, not of
// fmt.Errorf with several %w.
func isJoined(err error) bool { return fmt.Sprintf("%T", err) == fmt.Sprintf("%T", errors.Join(err)) }

// printable escapes what is not printable, as Go does in string literals.
func printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// meaning turns the flag's value, which kong has checked, into a Meaning.
func meaning(flag string) basket.Meaning {
	if flag == basket.NextOrder.String() {
		return basket.NextOrder
	}
	return basket.LastOrder
}
