// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// Source is a server at which a Collector subscribes.
type Source struct {
	Name string
	Dial Dialer
}

// CollectorConfig configures the messages that a Collector records.
type CollectorConfig struct {
	Sources  []Source
	ClientID string
	Filter   string
	// Stream is the only stream that the collector records. If it is empty, the collector records
	// all streams.
	Stream string
}

// Arrival is one message received from a server.
type Arrival struct {
	Message
	Server   string
	Time     time.Time
	Topic    string
	QoS      byte
	Retained bool
	// Dup is the DUP flag of the arrival. If it is set, the server, not the bridge, may have
	// sent this message to the collector before.
	Dup bool
}

// Collector subscribes at QoS 2 at its sources, with a persistent session on each, and records the
// messages.
type Collector struct {
	cfg     CollectorConfig
	clients []mqtt.Client
	ended   <-chan struct{}

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	arrivals []Arrival
	seen     map[uint64]bool
	subacks  map[string]int // number of SUBACKs of each source
}

// StartCollector returns when every source has acknowledged the subscription. All waits of the
// collector end when the context ends.
func StartCollector(ctx context.Context, cfg CollectorConfig, timeout time.Duration) (*Collector, error) {
	c := &Collector{cfg: cfg, ended: ctx.Done(), changed: make(chan struct{}), seen: map[uint64]bool{}, subacks: map[string]int{}}
	for _, s := range cfg.Sources {
		if err := c.listen(ctx, s, timeout); err != nil {
			c.Close()
			return nil, fmt.Errorf("collector on %s: %w", s.Name, err)
		}
	}
	return c, nil
}

func (c *Collector) listen(ctx context.Context, s Source, timeout time.Duration) error {
	subscribed := make(chan error, 1)
	o := mqtt.NewClientOptions().
		AddBroker("tcp://" + s.Name).
		SetClientID(c.cfg.ClientID).
		SetCleanSession(false).
		SetKeepAlive(0). // a frozen server must not end the collector's session
		SetMaxReconnectInterval(100 * time.Millisecond).
		SetConnectRetry(true).
		SetConnectRetryInterval(50 * time.Millisecond).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
			defer cancel()
			conn, err := s.Dial(ctx)
			if err != nil {
				return nil, err
			}
			return eager(conn), nil
		}).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.record(s.Name, m) }).
		SetOnConnectHandler(func(client mqtt.Client) {
			go func() {
				token := client.Subscribe(c.cfg.Filter, 2, nil)
				token.Wait()
				if token.Error() == nil {
					c.update(func() { c.subacks[s.Name]++ })
				}
				select {
				case subscribed <- token.Error():
				default:
				}
			}()
		})
	client := mqtt.NewClient(o)
	c.clients = append(c.clients, client)
	client.Connect()
	select {
	case err := <-subscribed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(timeout):
		return fmt.Errorf("no SUBACK within %s", timeout)
	}
}

func (c *Collector) record(server string, m mqtt.Message) {
	now := time.Now()
	msg, ok := Decode(m.Payload())
	if !ok || c.cfg.Stream != "" && msg.Stream != c.cfg.Stream {
		return
	}
	c.update(func() {
		c.arrivals = append(c.arrivals, Arrival{
			Message: msg, Server: server, Time: now, Topic: m.Topic(),
			QoS: m.Qos(), Retained: m.Retained(), Dup: m.Duplicate(),
		})
		c.seen[msg.Seq] = true
	})
}

func (c *Collector) update(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

// Close disconnects from all sources.
func (c *Collector) Close() {
	for _, client := range c.clients {
		client.Disconnect(0)
	}
}

// Arrivals returns the arrivals so far, in order of arrival.
func (c *Collector) Arrivals() []Arrival { return c.ArrivalsFrom(0) }

// ArrivalsFrom returns the arrivals so far without the first ones, in order of arrival.
func (c *Collector) ArrivalsFrom(first int) []Arrival {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.arrivals[first:])
}

// Count returns the number of different messages that have arrived.
func (c *Collector) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// WaitCount waits until n different messages have arrived.
func (c *Collector) WaitCount(n int, timeout time.Duration) error {
	return c.wait(timeout, func() (bool, string) {
		return len(c.seen) >= n, fmt.Sprintf("%d of %d messages arrived", len(c.seen), n)
	})
}

// WaitSubscribed waits until a source has acknowledged n subscriptions since the start: the first
// one, and one after each lost connection.
func (c *Collector) WaitSubscribed(source string, n int, timeout time.Duration) error {
	return c.wait(timeout, func() (bool, string) {
		return c.subacks[source] >= n, fmt.Sprintf("%s acknowledged %d of %d subscriptions", source, c.subacks[source], n)
	})
}

// WaitFrom waits for a message that arrives from the given server after the given time.
func (c *Collector) WaitFrom(server string, after time.Time, timeout time.Duration) (Arrival, error) {
	var found Arrival
	err := c.wait(timeout, func() (bool, string) {
		for i := len(c.arrivals) - 1; i >= 0 && c.arrivals[i].Time.After(after); i-- {
			if c.arrivals[i].Server == server {
				found = c.arrivals[i] // the loop ends with the earliest arrival
			}
		}
		return found.Server != "", "no message arrived from " + server
	})
	return found, err
}

// WaitSent waits for a message from the given server that was published after the given time. It then
// has no backlog of earlier messages.
func (c *Collector) WaitSent(server string, after time.Time, timeout time.Duration) error {
	return c.wait(timeout, func() (bool, string) {
		for i := len(c.arrivals) - 1; i >= 0 && c.arrivals[i].Time.After(after); i-- {
			if a := &c.arrivals[i]; a.Server == server && a.Sent.After(after) {
				return true, ""
			}
		}
		return false, "no new message arrived from " + server
	})
}

// WaitAll waits until all acknowledged messages have arrived.
func (c *Collector) WaitAll(l Ledger, timeout time.Duration) error {
	return c.wait(timeout, func() (bool, string) {
		missing := 0
		if len(c.seen) < len(l.Acknowledged) {
			missing = len(l.Acknowledged) - len(c.seen)
		} else {
			for seq := range l.Acknowledged {
				if !c.seen[seq] {
					missing++
				}
			}
		}
		return missing == 0, fmt.Sprintf("%d of %d acknowledged messages are missing", missing, len(l.Acknowledged))
	})
}

func (c *Collector) wait(timeout time.Duration, ok func() (bool, string)) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		done, state := ok()
		changed := c.changed
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-c.ended:
			return fmt.Errorf("collector: %s when it ended", state)
		case <-deadline.C:
			return fmt.Errorf("collector: %s after %s", state, timeout)
		}
	}
}
