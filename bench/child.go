package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

// child runs this program as one of the servers that the http comparison measures.
// It prints "ready ADDRESS" and serves until the end of its input. It answers each line
// of its input by the nanoseconds of CPU time that it has used. Lost log lines are an
// error.
func child(args []string) error {
	f := flag.NewFlagSet("child", flag.ContinueOnError)
	kind := f.String("kind", "", "basket or bare")
	data := f.String("data", "", "folder of orders")
	model := f.String("model", "", "model file")
	logs := f.String("logs", "", "folder of the log files")
	suffix := f.String("suffix", "", "with kind bare, the text of an answer after the user ID")
	if err := f.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			fmt.Println(cpuTime().Nanoseconds())
		}
		stop()
	}()
	if *kind == "bare" {
		fmt.Printf("ready %s\n", listener.Addr())
		context.AfterFunc(ctx, func() { _ = listener.Close() })
		if err := http.Serve(listener, bareHandler(*suffix)); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
	service, err := serve.OpenLogFile(filepath.Join(*logs, "service_metrics.txt"), serve.ServiceLogHeader, nil)
	if err != nil {
		return err
	}
	models, err := serve.OpenLogFile(filepath.Join(*logs, "model_metrics.txt"), serve.ModelLogHeader, nil)
	if err != nil {
		return err
	}
	store, _, m, err := shop{*data, *model}.open()
	if err != nil {
		return err
	}
	p, err := basket.New(
		basket.WithStore(store), basket.WithModel(m),
		basket.WithServiceLogger(serve.NewTextLogger(service)), basket.WithModelLogger(serve.NewTextLogger(models)),
	)
	if err != nil {
		return err
	}
	fmt.Printf("ready %s\n", listener.Addr())
	err = serve.Run(ctx, serve.NewServer(basket.NewHandler(p)), listener, serve.Drain(listener.Addr()))
	if n := service.Dropped() + models.Dropped(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d log lines were dropped", n))
	}
	return errors.Join(err, service.Close(), models.Close())
}

// bareHandler returns a minimal handler of package net/http: it decodes the body and
// writes an answer of the same bytes as basket's.
func bareHandler(suffix string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			UserID string `json:"user_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := make([]byte, 0, 512)
		answer = append(answer, `{"user_id":"`...)
		answer = append(answer, body.UserID...)
		answer = append(answer, suffix...)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
}
