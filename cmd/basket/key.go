package main

import (
	"fmt"

	"github.com/basket-go/basket/serve"
)

type keyCmd struct {
	New keyNewCmd `cmd:"" help:"Make an API key: prints the key, for the client, and its line for --key-file."`
}

type keyNewCmd struct {
	Name string `arg:"" help:"Name of the client, which stands in logs."`
	Role string `enum:"user,admin" default:"user" help:"What the client may do: user or admin (${default})."`
}

func (c *keyNewCmd) Run(term terminal) error {
	key, line, err := serve.NewKey(c.Name, serve.Role(c.Role))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(term.out, "key   %s\nline  %s\n", key, line)
	return err
}
