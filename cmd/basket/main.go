// Command basket serves, scores and inspects tree models, and computes their
// features. Run it without arguments for help.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/basket-go/basket"
)

// cli is the command line, as kong reads it.
type cli struct {
	Serve    serveCmd    `cmd:"" help:"Serve predictions over HTTP: GET /status and POST /predict."`
	Features featuresCmd `cmd:"" help:"Compute the feature row of each user from a folder of orders."`
	Score    scoreCmd    `cmd:"" help:"Predict for each row of a parquet or CSV file."`
	Explain  explainCmd  `cmd:"" help:"Attribute the margin of each row of a file to its features (SHAP)."`
	Inspect  inspectCmd  `cmd:"" help:"Describe a model file."`
}

// A terminal is where a command talks to its user.
type terminal struct {
	out, err io.Writer
}

func main() {
	// The first signal asks a command to end well, the second ends it at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], terminal{os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run is the program: it returns the exit status, and says what went wrong in
// one line.
func run(ctx context.Context, args []string, term terminal) (code int) {
	var c cli
	exited := false
	parser, err := kong.New(&c,
		kong.Name("basket"),
		kong.Description("Tree-model prediction with the features it needs."),
		kong.Writers(term.out, term.err),
		kong.Exit(func(status int) { exited, code = true, status }), // after --help
		kong.Vars{"features": strings.Join(basket.FeatureNames(), ", ")},
	)
	if err != nil {
		return fail(term, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited {
		return code
	}
	if err != nil {
		return fail(term, fmt.Errorf("%w; see basket --help", err))
	}
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(term); err != nil {
		return fail(term, err)
	}
	return 0
}

// fail says err in one line.
func fail(term terminal, err error) int {
	text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
	if !strings.HasPrefix(text, "basket: ") {
		text = "basket: " + text
	}
	fmt.Fprintln(term.err, text)
	return 1
}

// meaning turns the flag's value, which kong has checked, into a Meaning.
func meaning(flag string) basket.Meaning {
	if flag == basket.NextOrder.String() {
		return basket.NextOrder
	}
	return basket.LastOrder
}
