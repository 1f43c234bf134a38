package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// feedServers are a Kafka broker and a Redis, which share the machine's last core while a
// feed has the first.
type feedServers struct {
	*bench
	kafka, redis string // addresses
	topics       int
	client       *kgo.Client
	stop         func() error
}

// pinned returns the command line that runs a program on one core, if there are several.
func pinned(core int, args ...string) []string {
	if _, err := exec.LookPath("taskset"); err != nil || runtime.NumCPU() < 2 {
		return args
	}
	return append([]string{"taskset", "-c", fmt.Sprint(core)}, args...)
}

// startFeedServers starts both; the caller calls stop.
func (b *bench) startFeedServers(ctx context.Context) (s *feedServers, err error) {
	for _, program := range []string{"java", "mvn", "redis-server"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, skipError{fmt.Errorf("%s is not installed", program)}
		}
	}
	s = &feedServers{bench: b}
	kafkaPort, redisPort, err := freePorts()
	if err != nil {
		return nil, err
	}
	s.kafka, s.redis = fmt.Sprint("127.0.0.1:", kafkaPort), fmt.Sprint("127.0.0.1:", redisPort)
	last := runtime.NumCPU() - 1
	dir := filepath.Join(b.temp, "kafka")
	script := filepath.Join(b.root, "scripts", "kafka")
	args := pinned(last, script, "start", dir, fmt.Sprint(kafkaPort))
	if _, err := runCommand(ctx, 10*time.Minute, b.root, args[0], args[1:]...); err != nil {
		return nil, skipError{err}
	}
	args = pinned(last, "redis-server", "--bind", "127.0.0.1", "--port", fmt.Sprint(redisPort), "--dir", b.temp, "--save", "")
	redis := exec.Command(args[0], args[1:]...)
	startErr := redis.Start()
	s.stop = func() error {
		if s.client != nil {
			s.client.Close()
		}
		if startErr == nil {
			_ = redis.Process.Kill()
			_ = redis.Wait()
		}
		_, err := runCommand(context.Background(), time.Minute, b.root, script, "kill", dir)
		return errors.Join(err, os.RemoveAll(dir))
	}
	if startErr == nil {
		startErr = awaitPort(ctx, s.redis)
	}
	if startErr == nil {
		s.client, startErr = kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.UnknownTopicRetries(-1))
	}
	if startErr != nil {
		return nil, errors.Join(startErr, s.stop())
	}
	return s, nil
}

// freePorts returns a port with a free one after it, and another.
func freePorts() (first, second int, err error) {
	for range 200 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		next, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port+1))
		_ = l.Close()
		if err != nil {
			continue
		}
		_ = next.Close()
		switch {
		case first == 0:
			first = port
		case port != first && port != first+1:
			return first, port, nil
		}
	}
	return 0, 0, errors.New("no two free ports in a row")
}

// newTopic creates a topic.
func (s *feedServers) newTopic(ctx context.Context) (string, error) {
	s.topics++
	topic := fmt.Sprint("orders-", s.topics)
	_, err := kadm.NewClient(s.client).CreateTopic(ctx, 4, 1, nil, topic)
	return topic, err
}

// deleteTopic deletes a topic and those of its feeds.
func (s *feedServers) deleteTopic(ctx context.Context, topic string) error {
	admin := kadm.NewClient(s.client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	names := slices.DeleteFunc(topics.Names(), func(n string) bool { return n != topic && !strings.HasPrefix(n, topic+"-") })
	_, err = admin.DeleteTopics(ctx, names...)
	return err
}

// startWorker starts a feed of a topic on the first core. Redis is "" for a MemoryStore.
func (s *feedServers) startWorker(ctx context.Context, topic, data string, copies int, redis string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := pinned(0, self, feedArg, "-brokers", s.kafka, "-topic", topic, "-data", data, "-copies", fmt.Sprint(copies), "-redis", redis)
	return startProcess(ctx, 2*time.Minute, "ready", args[0], args[1:]...)
}

// flush empties Redis.
func (s *feedServers) flush(ctx context.Context) error {
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", s.redis)
	if err != nil {
		return err
	}
	defer c.Close()
	answer := make([]byte, 16)
	if _, err := c.Write([]byte("FLUSHALL\r\n")); err != nil {
		return err
	}
	n, err := c.Read(answer)
	if err == nil && !strings.HasPrefix(string(answer[:n]), "+OK") {
		err = fmt.Errorf("redis: FLUSHALL: %q", answer[:n])
	}
	return err
}

// awaitPort waits until a server that has just been started accepts connections.
func awaitPort(ctx context.Context, address string) error {
	var dialer net.Dialer
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}
