package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// kafkaSettings say which topic is meant, and how to reach its brokers.
type kafkaSettings struct {
	Brokers []string `type:"setting" placeholder:"HOST:PORT,..." help:"Some brokers of a Kafka cluster, which name the others. Needed."`
	Topic   string   `type:"setting" placeholder:"NAME" help:"The topic of orders, as events of one order each with the user ID as the key. Needed."`

	TLS      bool   `name:"kafka-tls" type:"switch" help:"Reach the brokers by TLS."`
	CA       string `name:"kafka-ca" type:"setting" placeholder:"FILE" help:"Certificates, in PEM, of those who sign the certificates of the brokers (default: those that the system trusts)."`
	SASL     string `name:"kafka-sasl" type:"setting" oneof:"plain,scram-sha-256,scram-sha-512" placeholder:"MECHANISM" help:"How a user tells a broker who it is: plain, which shows the password to whoever reads a connection without --kafka-tls, scram-sha-256 or scram-sha-512 (default: not at all)."`
	User     string `name:"kafka-user" type:"setting" placeholder:"NAME" help:"User of --kafka-sasl."`
	Password string `name:"kafka-password" type:"setting" secret:"" placeholder:"PASSWORD" help:"Password of --kafka-user; meant for the environment, BASKET_KAFKA_PASSWORD."`
}

// maxTopic is the longest name of a topic, less the ends of those that a feed adds.
const maxTopic = 200

var topicName = regexp.MustCompile(fmt.Sprintf(`^[a-zA-Z0-9._-]{1,%d}$`, maxTopic))

func isTopic(name string) bool { return topicName.MatchString(name) && strings.Trim(name, ".") != "" }

// maxCertificates is the most bytes of a file of certificates.
const maxCertificates = 4 << 20

// faults returns what is wrong with the settings.
func (c *kafkaSettings) faults() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		fault("no brokers: give --brokers HOST:PORT,...")
	}
	for _, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			fault("--brokers %.200q: want HOST:PORT,...", b)
		}
	}
	switch {
	case c.Topic == "":
		fault("no topic: give --topic NAME")
	case !isTopic(c.Topic):
		fault("--topic %.300q: want 1 to %d letters, digits, dots, underscores and hyphens", c.Topic, maxTopic)
	}
	if c.CA != "" && !c.TLS {
		fault("--kafka-ca is of --kafka-tls: give that, or leave it out")
	}
	switch {
	case c.SASL == "" && (c.User != "" || c.Password != ""):
		fault("--kafka-user and BASKET_KAFKA_PASSWORD are of --kafka-sasl: give that, or leave them out")
	case c.SASL != "" && (c.User == "" || c.Password == ""):
		fault("--kafka-sasl %s: no user or no password: give --kafka-user and BASKET_KAFKA_PASSWORD", c.SASL)
	}
	if _, err := c.tlsConfig(); err != nil {
		fault("--kafka-ca: %w", err)
	}
	return faults
}

// tlsConfig returns nil without TLS.
func (c *kafkaSettings) tlsConfig() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA == "" {
		return config, nil
	}
	text, err := readBounded(c.CA, maxCertificates)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, errors.New(c.CA + ": no certificate in PEM: want one or more")
	}
	return config, nil
}

// options are those of a client of the brokers.
func (c *kafkaSettings) options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID("basket")}
	config, err := c.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("--kafka-ca: %w", err)
	}
	if config != nil {
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	switch scrams := (scram.Auth{User: c.User, Pass: c.Password}); c.SASL {
	case "plain":
		opts = append(opts, kgo.SASL(plain.Auth{User: c.User, Pass: c.Password}.AsMechanism()))
	case "scram-sha-256":
		opts = append(opts, kgo.SASL(scrams.AsSha256Mechanism()))
	case "scram-sha-512":
		opts = append(opts, kgo.SASL(scrams.AsSha512Mechanism()))
	}
	return opts, nil
}
