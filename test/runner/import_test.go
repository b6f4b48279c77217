// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// importBridge imports a configuration that has one bridge, by the command import of the runner, and
// returns a runner with its manifest and Secrets. arguments precede the file.
func importBridge(t *testing.T, configuration string, arguments ...string) *mqtttest.Runner {
	t.Helper()
	dir := t.TempDir()
	file, secrets, manifests := filepath.Join(dir, "broker.conf"), filepath.Join(dir, "secrets"), filepath.Join(dir, "manifests")
	must(t, os.WriteFile(file, []byte(configuration), 0o600))
	arguments = slices.Concat([]string{"import"}, arguments, []string{file, "--secrets", secrets, "-o", manifests})
	out, err := exec.Command(mqtttest.RunnerBinary(t), arguments...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) {
		t.Fatalf("import: %v\n%s", err, out)
	}
	paths, err := filepath.Glob(filepath.Join(manifests, "*.yaml"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("the import made %d manifests: %v\n%s", len(paths), err, out)
	}
	data, err := os.ReadFile(paths[0])
	must(t, err)
	var bridge v1alpha1.MQTTBridge
	must(t, yaml.UnmarshalStrict(data, &bridge))
	r := mqtttest.NewRunner(t, &bridge)
	values, err := filepath.Glob(filepath.Join(secrets, "*", "*"))
	must(t, err)
	for _, path := range values {
		value, err := os.ReadFile(path)
		must(t, err)
		r.SetFile(filepath.Base(filepath.Dir(path)), filepath.Base(path), string(value))
	}
	return r
}

// arrivalsAt returns the messages that a client has received, without the retained state of the
// bridge and the messages that find out whether it forwards.
func arrivalsAt(c *mqtttest.Client5) []string {
	var out []string
	for _, p := range c.Received("") {
		if !strings.HasPrefix(p.Topic, "clients/") && !strings.HasSuffix(p.Topic, "/probe") {
			out = append(out, fmt.Sprintf("%s QoS %d retain %t %s", p.Topic, p.QoS, p.Retain, p.Payload))
		}
	}
	slices.Sort(out)
	return out
}

// exchange publishes messages on both brokers after the bridge between them forwards in both
// directions, and returns the messages that clients of both receive.
func exchange(t *testing.T, local, remote *mqtttest.Broker) (atLocal, atRemote []string) {
	t.Helper()
	l, r := mqtttest.StartClient5(t, local, "local-client"), mqtttest.StartClient5(t, remote, "remote-client")
	l.Subscribe("#")
	r.Subscribe("#")
	publish := func(c *mqtttest.Client5, topic string, qos byte, retain bool) {
		c.Publish(&paho.Publish{Topic: topic, QoS: qos, Retain: retain, Payload: []byte(topic)})
	}
	both := func(what, up, down string) {
		mqtttest.Eventually(t, eventTimeout, what, func() error {
			publish(l, up, 1, false)
			publish(r, down, 1, false)
			if len(r.Received("up/probe")) == 0 || len(l.Received("down/probe")) == 0 {
				return errors.New("no message arrived")
			}
			return nil
		})
	}
	both("the bridge forwards", "up/probe", "down/probe")
	for _, qos := range []byte{0, 1, 2} {
		for _, topic := range []string{"up/a", "sensors/7/raw/x/y", "sensors/7", "local/z", "both/l"} {
			publish(l, fmt.Sprintf("%s/%d", topic, qos), qos, false)
		}
		for _, topic := range []string{"down/a", "plant1/commands", "other/x", "both/r"} {
			publish(r, fmt.Sprintf("%s/%d", topic, qos), qos, false)
		}
		publish(r, "fixed/remote", qos, false)
	}
	publish(l, "up/retained", 1, true)
	publish(r, "down/retained", 1, true)
	publish(l, "up/last", 1, false)
	publish(r, "down/last", 1, false)
	r.Wait("up/last", 1, eventTimeout)
	l.Wait("down/last", 1, eventTimeout)
	// A message of QoS 2 may arrive after a later message of QoS 1. Each client receives the 17 messages
	// of its own broker, and 14 of the other one.
	mqtttest.Eventually(t, eventTimeout, "all messages arrive", func() error {
		if atLocal, atRemote = arrivalsAt(l), arrivalsAt(r); len(atLocal) < 31 || len(atRemote) < 31 {
			return fmt.Errorf("%d and %d arrived", len(atLocal), len(atRemote))
		}
		return nil
	})
	return atLocal, atRemote
}

// Mosquitto runs the configuration itself, and the runner runs the imported manifest. Clients of both
// brokers receive the same messages, with the same topics, QoS and retain flags.
func TestImport_MosquittoConfiguration_ForwardsAsMosquittoDoes(t *testing.T) {
	t.Parallel()
	configuration := func(remote *mqtttest.Broker) string {
		protocol := map[v1alpha1.ProtocolVersion]string{v1alpha1.ProtocolVersion311: "mqttv311", v1alpha1.ProtocolVersion5: "mqttv50"}[version]
		return fmt.Sprintf(`connection plant
address %s
bridge_protocol_version %s
notification_topic clients/plant/state
keepalive_interval 5
restart_timeout 1
topic up/# out 1
topic sensors/+/raw/# out 2 "" plant1/
topic # out 0 local/ cloud/
topic down/# in 1
topic +/# in 2 cmd/ plant1/
topic "" in 0 fixed/local fixed/remote
topic both/# both 1
`, remote.Address(), protocol)
	}
	theirs := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote-of-mosquitto"})
	own := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "mosquitto", Extra: configuration(theirs)})
	wantLocal, wantRemote := exchange(t, own, theirs)

	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	r := importBridge(t, configuration(remote), "--from", "mosquitto", "--local", local.URL())
	r.Start()
	gotLocal, gotRemote := exchange(t, local, remote)
	if !slices.Equal(gotLocal, wantLocal) {
		t.Errorf("at the local broker arrived\n%s\nwith Mosquitto's own bridge\n%s", strings.Join(gotLocal, "\n"), strings.Join(wantLocal, "\n"))
	}
	if !slices.Equal(gotRemote, wantRemote) {
		t.Errorf("at the remote broker arrived\n%s\nwith Mosquitto's own bridge\n%s", strings.Join(gotRemote, "\n"), strings.Join(wantRemote, "\n"))
	}
}

// The imported bridge has the login, the certificates and the servers of the configuration, maps
// topics, and uses the next server when the first one is lost.
func TestImport_NanoMQConfiguration_ForwardsAndFailsOver(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	root := t.TempDir()
	client := pki.Client("bridge")
	for name, data := range map[string][]byte{"ca.pem": pki.CA, "cert.pem": client.Cert, "key.pem": client.Key} {
		must(t, os.WriteFile(filepath.Join(root, name), data, 0o600))
	}
	guarded := func(name string) *mqtttest.Broker {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, TLS: pki.Server(), ClientCA: pki.CA, Users: map[string]string{"plant": `s3"cret $x`}})
	}
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	one, two := guarded("one"), guarded("two")
	address := func(b *mqtttest.Broker) string { return strings.Replace(b.URL(), "mqtts://", "tls+mqtt-tcp://", 1) }
	r := importBridge(t, fmt.Sprintf(`
listeners.tcp { bind = "0.0.0.0:1883" }
bridges.mqtt.plant {
  server = "%s"
  hybrid_bridging = true
  hybrid_servers = ["%s", "%s"]
  proto_ver = %s
  clientid = "plant-bridge"
  keepalive = 5s
  clean_start = false
  username = plant
  password = "s3\"cret $x"
  ssl {
    cacertfile = "/ca.pem"
    certfile = "/cert.pem"
    keyfile = "/key.pem"
  }
  forwards = [
    {remote_topic = "", local_topic = "up/#", prefix = "site1/"}
    {remote_topic = "fixed/topic", local_topic = "one/topic", suffix = "/end"}
  ]
  subscription = [
    {remote_topic = "+/site1/#", local_topic = "#", qos = 1}
  ]
}
`, address(one), address(one), address(two), map[v1alpha1.ProtocolVersion]string{v1alpha1.ProtocolVersion311: "4", v1alpha1.ProtocolVersion5: "5"}[version]),
		"--local", local.URL(), "--files", root)
	r.Start()
	r.WaitActive("primary", eventTimeout)
	l := mqtttest.StartClient5(t, local, "local-client")
	l.Subscribe("#")
	flows := func(remote *mqtttest.Broker, n int) {
		t.Helper()
		c := mqtttest.StartClient5(t, remote, "remote-client")
		c.Subscribe("#")
		l.Publish(&paho.Publish{Topic: "up/a/b", QoS: 2, Payload: []byte("x")})
		l.Publish(&paho.Publish{Topic: "one/topic", QoS: 1, Payload: []byte("y")})
		if got := c.Wait("site1/up/a/b", 1, eventTimeout); got[0].QoS != 2 {
			t.Errorf("the message arrived at QoS %d, want 2", got[0].QoS)
		}
		c.Wait("fixed/topic/end", 1, eventTimeout)
		c.Publish(&paho.Publish{Topic: "cmd/site1/set/1", QoS: 1, Payload: []byte("z")})
		l.Wait("set/1", n, eventTimeout)
	}
	flows(one, 1)
	one.Kill()
	r.WaitActive("backup-1", eventTimeout)
	flows(two, 2)
}
