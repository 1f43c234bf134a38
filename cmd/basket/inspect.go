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
	info := model.Info()
	names := strings.Join(model.Features(), ", ")
	switch info.NamesFrom {
	case "default":
		names += " (the file has no names; these are assumed)"
	case "generated":
		names += " (the file has no names)"
	}
	type line struct {
		name  string
		value any
	}
	learned := line{"objective", cmp.Or(info.Objective, "none: predictions are margins")}
	if info.Estimator != "" {
		learned = line{"estimator", info.Estimator}
	}
	for _, line := range []line{
		{"library", info.Library},
		{"format", info.Format},
		{"version", cmp.Or(info.Version, "not stated")},
		learned,
		{"trees", info.Trees},
		{"leaves", info.Leaves},
		{"depth", info.Depth},
		{"features", fmt.Sprintf("%d: %s", info.Features, names)},
		{"outputs", info.Outputs},
		{"engine", engine(info)},
		{"digest", info.Digest},
	} {
		if _, err := fmt.Fprintf(term.out, "%-10s %s\n", line.name, printable(fmt.Sprint(line.value))); err != nil {
			return err
		}
	}
	return nil
}

func engine(info basket.ModelInfo) string {
	if info.EngineBytes == 0 {
		return info.Engine
	}
	return fmt.Sprintf("%s, %d KB", info.Engine, (info.EngineBytes+1023)/1024)
}
