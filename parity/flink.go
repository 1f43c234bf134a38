package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/basket-go/basket"
)

// onFlink computes all rows by examples/beam on a cluster of two task managers, which
// scripts/flink starts and stops.
func onFlink(ctx context.Context, data, temp string) (rows []basket.Row, err error) {
	const script = "../scripts/flink"
	program, boot, out := filepath.Join(temp, "beam"), filepath.Join(temp, "boot"), filepath.Join(temp, "flink")
	for to, pkg := range map[string]string{program: ".", boot: "github.com/apache/beam/sdks/v2/go/container"} {
		if err := command(ctx, "../examples/beam", "env", "CGO_ENABLED=0", "go", "build", "-o", to, pkg); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, command(context.WithoutCancel(ctx), ".", script, "stop")) }()
	if err := command(ctx, ".", script, "start", "2"); err != nil {
		return nil, err
	}
	worker, err := exec.CommandContext(ctx, script, "worker", boot).Output()
	if err != nil {
		return nil, err
	}
	err = command(ctx, ".", script, "run", program, "--data", data, "--out", out, "--rows", "all",
		"--runner=flink", "--endpoint=127.0.0.1:8099", "--parallelism=4",
		"--environment_type=PROCESS", "--environment_config="+strings.TrimSpace(string(worker)), "--worker_binary="+program)
	if err != nil {
		return nil, err
	}
	return readFolder(ctx, filepath.Join(out, "rows"))
}
