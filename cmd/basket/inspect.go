package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/basket-go/basket"
)

type inspectCmd struct {
	File string `arg:"" help:"Model file."`
}

func (c *inspectCmd) Run(term terminal) error {
	model, err := basket.LoadModel(c.File)
	if err != nil {
		return err
	}
	described, ok := model.(interface{ Info() basket.ModelInfo })
	if !ok {
		return fmt.Errorf("%s: a model of type %T does not describe itself", c.File, model)
	}
	info := described.Info()
	for _, line := range []struct {
		name  string
		value any
	}{
		{"format", info.Format},
		{"version", cmp.Or(info.Version, "not told")},
		{"objective", cmp.Or(info.Objective, "none: predictions are margins")},
		{"trees", info.Trees},
		{"leaves", info.Leaves},
		{"depth", info.Depth},
		{"features", fmt.Sprintf("%d: %s", info.Features, strings.Join(model.Features(), ", "))},
		{"outputs", info.Outputs},
		{"engine", info.Engine},
		{"digest", info.Digest},
	} {
		if _, err := fmt.Fprintf(term.out, "%-10s %v\n", line.name, line.value); err != nil {
			return err
		}
	}
	return nil
}
