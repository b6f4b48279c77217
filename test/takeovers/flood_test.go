// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// If floodAddress is in the environment, this program publishes to the broker at that address as fast as it
// accepts messages, instead of running tests. floodTopic is the topic.
const (
	floodAddress = "TAKEOVERS_FLOOD_ADDRESS"
	floodTopic   = "TAKEOVERS_FLOOD_TOPIC"
)

// flood publishes to a broker for some time, and returns the number of messages. It is another process, and
// gets only the processor time that no other one needs, as if it had a machine of its own: in the process of the
// tests, it would delay the clients that measure.
func (w *world) flood(b *mqtttest.Broker, topic string, d time.Duration) int {
	w.Helper()
	self, err := os.Executable()
	must(w, err)
	c := exec.CommandContext(w.Context(), "chrt", "--idle", "0", self)
	c.Env = append(os.Environ(), floodAddress+"="+b.Address(), floodTopic+"="+topic)
	c.Stderr = os.Stderr
	stop, err := c.StdinPipe()
	must(w, err)
	var sent strings.Builder
	c.Stdout = &sent
	must(w, c.Start())
	time.Sleep(d)
	must(w, stop.Close())
	must(w, c.Wait())
	n, err := strconv.Atoi(sent.String())
	must(w, err)
	return n
}

// publishFlood publishes until the input ends, and prints the number of messages when all are acknowledged.
func publishFlood(address, topic string) error {
	p := traffic.StartPublisher(context.Background(), traffic.PublisherConfig{
		Dial: traffic.TCP(address), ClientID: "flood", Topic: topic, Stream: "flood", QoS: 1,
	})
	defer p.Close()
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if err := p.StopAndDrain(drainTimeout); err != nil {
		return err
	}
	fmt.Print(p.Ledger().Sent)
	return nil
}
