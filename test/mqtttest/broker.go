// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// BrokerOptions configures a Broker. The zero value is a plain broker without authentication.
type BrokerOptions struct {
	// Name is the name of the broker in reports. Default "broker".
	Name string
	// Persistence keeps sessions and messages on disk across a Stop, and the state written by Save
	// across a Kill.
	Persistence bool
	// Users maps user names to passwords. Without users, clients are anonymous.
	Users map[string]string
	// TLS is the certificate of the broker. Default none: the listener is plain.
	TLS *KeyPair
	// ClientCA makes the broker require a client certificate signed by this authority.
	ClientCA []byte
	// WebSocket makes the bridge's listener use MQTT over WebSocket.
	WebSocket bool
	// MaxInflight is the largest number of unacknowledged messages to one client. Default 2000.
	MaxInflight int
	// DefaultLimits leaves Mosquitto's own limits: 20 messages in flight, 1,000 queued messages, and packets of
	// 2,000,000 bytes since 2.1.
	DefaultLimits bool
	// LogPackets makes the broker log each packet, see FollowLog.
	LogPackets bool
	// Extra is added to the configuration, for example a connection to another broker.
	Extra string
	// Host is the IP address of this machine on which the bridge's listener listens. Default
	// 127.0.0.1. Pods need an address of their node.
	Host string
}

// Broker is a Mosquitto process. It has two listeners: the bridge's listener has the TLS and the
// users of the options; the test's listener is plain and anonymous.
type Broker struct {
	Name string

	t           testing.TB
	host        string // of the bridge's listener
	port, admin int
	scheme      string
	persistent  bool
	dir         string
	options     BrokerOptions
	process     *process
}

const (
	brokerStartTimeout = 10 * time.Second
	brokerStopTimeout  = 10 * time.Second
)

// StartBroker starts a Mosquitto and waits until it answers.
func StartBroker(t testing.TB, o BrokerOptions) *Broker {
	t.Helper()
	b := &Broker{Name: o.Name, t: t, host: cmp.Or(o.Host, loopback), port: FreePort(t), admin: FreePort(t), scheme: "mqtt", persistent: o.Persistence, dir: t.TempDir()}
	if b.Name == "" {
		b.Name = "broker"
	}
	switch {
	case o.WebSocket && o.TLS != nil:
		b.scheme = "wss"
	case o.WebSocket:
		b.scheme = "ws"
	case o.TLS != nil:
		b.scheme = "mqtts"
	}
	b.options = o
	b.configure(o)
	b.Start()
	t.Cleanup(func() {
		if b.process.running() {
			b.Thaw()
			b.Kill()
		}
	})
	return b
}

// URL returns the URL of the bridge's listener.
func (b *Broker) URL() string {
	host := b.host
	if host == loopback {
		host = "localhost" // the name in certificates
	}
	return fmt.Sprintf("%s://%s:%d", b.scheme, host, b.port)
}

// Address returns the address of the bridge's listener.
func (b *Broker) Address() string { return net.JoinHostPort(b.host, strconv.Itoa(b.port)) }

// Dial connects to the test's listener.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	return traffic.TCP(address(b.admin))(ctx)
}

// Source returns the broker as a source for a collector.
func (b *Broker) Source() traffic.Source { return traffic.Source{Name: b.Name, Dial: b.Dial} }

// Start starts the broker again on the same ports, with the state that it saved on disk.
func (b *Broker) Start() {
	b.t.Helper()
	b.process = startProcess(b.t, b.Name, "mosquitto", "-c", b.file("mosquitto.conf"))
	Eventually(b.t, brokerStartTimeout, b.Name+" answers CONNECT", func() error {
		if !b.process.running() {
			b.t.Fatalf("%s ended during its start", b.Name)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return traffic.Ping(ctx, b.Dial, "ready")
	})
}

// Kill ends the broker with SIGKILL and returns the instant of the signal.
func (b *Broker) Kill() time.Time {
	b.t.Helper()
	return b.process.kill()
}

// Stop ends the broker with SIGTERM and waits until it has ended. With Persistence, the broker
// saves its state.
func (b *Broker) Stop() {
	b.t.Helper()
	b.process.signal(syscall.SIGTERM)
	b.process.wait(brokerStopTimeout)
}

// Restart stops the broker and starts it again.
func (b *Broker) Restart() {
	b.t.Helper()
	b.Stop()
	b.Start()
}

// Freeze stops the process with SIGSTOP: its connections stay open, but it does not answer.
func (b *Broker) Freeze() time.Time {
	b.t.Helper()
	now := time.Now()
	b.process.signal(syscall.SIGSTOP)
	return now
}

// Thaw continues a frozen broker.
func (b *Broker) Thaw() {
	b.t.Helper()
	b.process.signal(syscall.SIGCONT)
}

// RunWhenIdle gives the broker only the processor time that no other process needs, as if it had a machine of
// its own. It applies until the process ends.
func (b *Broker) RunWhenIdle() {
	b.t.Helper()
	idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(b.process.cmd.Process.Pid, &idle, 0); err != nil {
		b.t.Fatal(err)
	}
}

// RunFirst lets the broker run before other processes when it has work, as if it had a machine of its own:
// it asks for short slices of processor time. It applies until the process ends. Kernels before 6.12 ignore it.
func (b *Broker) RunFirst() {
	b.t.Helper()
	const shortest = 100 * time.Microsecond
	short := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Runtime: uint64(shortest)}
	if err := unix.SchedSetAttr(b.process.cmd.Process.Pid, &short, 0); err != nil {
		b.t.Fatal(err)
	}
}

// Save writes sessions and subscriptions to disk, so that a Kill does not lose them. It needs
// Persistence.
func (b *Broker) Save() {
	b.t.Helper()
	db := b.file("mosquitto.db")
	before := modified(db)
	b.process.signal(syscall.SIGUSR1)
	Eventually(b.t, brokerStopTimeout, b.Name+" saves its state", func() error {
		if modified(db).Equal(before) {
			return fmt.Errorf("%s is unchanged", db)
		}
		return nil
	})
}

// SetUsers replaces the users. Mosquitto ends the connections of users that are removed, or whose
// password changes.
func (b *Broker) SetUsers(users map[string]string) {
	b.t.Helper()
	b.writeUsers(users)
	b.process.signal(syscall.SIGHUP)
}

// SetExtra replaces the Extra part of the configuration, for the next start.
func (b *Broker) SetExtra(extra string) {
	b.t.Helper()
	b.options.Extra = extra
	b.configure(b.options)
}

func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

func (b *Broker) file(name string) string { return filepath.Join(b.dir, name) }

func (b *Broker) configure(o BrokerOptions) {
	b.t.Helper()
	if o.MaxInflight == 0 {
		o.MaxInflight = 2000
	}
	var conf strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&conf, format+"\n", args...) }
	line("user root")
	line("per_listener_settings true")
	line("log_dest stderr\nlog_timestamp_format %%H:%%M:%%S")
	line("log_type error\nlog_type warning\nlog_type notice")
	if o.LogPackets {
		line("log_type debug")
	}
	if !o.DefaultLimits {
		line("max_queued_messages 0\nmax_inflight_messages %d", o.MaxInflight)
		line("max_packet_size 268435455") // the default before 2.1
	}
	line("set_tcp_nodelay true")
	line("allow_duplicate_messages false") // the default before 2.1
	if o.Persistence {
		line("persistence true\npersistence_location %s/\nautosave_interval 0", b.dir)
	}
	line("listener %d %s\nallow_anonymous true", b.admin, loopback)
	line("listener %d %s\nallow_anonymous %t", b.port, b.host, len(o.Users) == 0)
	if o.WebSocket {
		line("protocol websockets")
	}
	if len(o.Users) > 0 {
		b.writeUsers(o.Users)
		line("password_file %s", b.file("users"))
	}
	if o.TLS != nil {
		b.write("tls.crt", o.TLS.Cert)
		b.write("tls.key", o.TLS.Key)
		line("certfile %s\nkeyfile %s", b.file("tls.crt"), b.file("tls.key"))
	}
	if o.ClientCA != nil {
		b.write("ca.crt", o.ClientCA)
		line("cafile %s\nrequire_certificate true", b.file("ca.crt"))
	}
	line("%s", o.Extra)
	b.write("mosquitto.conf", []byte(conf.String()))
}

func (b *Broker) writeUsers(users map[string]string) {
	b.t.Helper()
	var lines strings.Builder
	for user, password := range users {
		fmt.Fprintf(&lines, "%s:%s\n", user, password)
	}
	b.write("users", []byte(lines.String()))
	if out, err := exec.Command("mosquitto_passwd", "-U", b.file("users")).CombinedOutput(); err != nil {
		b.t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
}

func (b *Broker) write(name string, data []byte) {
	b.t.Helper()
	if err := os.WriteFile(b.file(name), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
