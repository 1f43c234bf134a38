package serve

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Logs are the service log and the model log as files.
type Logs struct {
	Service, Model *TextLogger
	files          []*LogFile
}

// OpenLogs opens service_metrics.txt and model_metrics.txt in dir, which it makes
// if it is missing. Report is that of [OpenLogFile]. The logs must be closed.
func OpenLogs(dir string, report func(error)) (*Logs, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	service, err := OpenLogFile(filepath.Join(dir, "service_metrics.txt"), ServiceLogHeader, report)
	if err != nil {
		return nil, err
	}
	model, err := OpenLogFile(filepath.Join(dir, "model_metrics.txt"), ModelLogHeader, report)
	if err != nil {
		return nil, errors.Join(err, service.Close())
	}
	return &Logs{
		Service: NewTextLogger(service), Model: NewTextLogger(model),
		files: []*LogFile{service, model},
	}, nil
}

// Reopen reopens both files; see [LogFile.Reopen].
func (l *Logs) Reopen() error { return errors.Join(l.files[0].Reopen(), l.files[1].Reopen()) }

// Close writes what is in memory and closes both files; see [LogFile.Close].
func (l *Logs) Close() error { return errors.Join(l.files[0].Close(), l.files[1].Close()) }

// ReopenOnHangup starts a goroutine that calls Reopen, of a [LogFile] or of
// [Logs], at each SIGHUP, which log rotation sends, until ctx is done. It passes
// errors to report, which may be nil.
func ReopenOnHangup(ctx context.Context, logs interface{ Reopen() error }, report func(error)) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				if err := logs.Reopen(); err != nil && report != nil {
					report(err)
				}
			}
		}
	}()
}
