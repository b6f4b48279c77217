// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"strings"
	"testing"
)

// notesOf returns the messages of the import of a configuration.
func notesOf(t *testing.T, format, configuration string, args ...string) (messages, manifests string) {
	t.Helper()
	var out, fault bytes.Buffer
	args = append([]string{"--from", format}, args...)
	if status := RunImport(append(args, "-"), strings.NewReader(configuration), &out, &fault); status != Done && status != Partly {
		t.Fatalf("exit status %d for %q: %s", status, configuration, &fault)
	}
	return fault.String(), out.String()
}

// From a pod, such an address reaches the pod itself, and never the server of the configuration.
func TestImport_AddressOfThePodItself_IsNotedWithLine(t *testing.T) {
	const (
		nanomq = "bridges.mqtt.a {\n  server = \"mqtt-tcp://%s:1884\"\n  forwards = [{local_topic = \"a/#\", remote_topic = \"\"}]\n}\n"
		emqx   = "connectors.mqtt.a {\n  server = \"%s:1884\"\n}\nactions.mqtt.a {\n  connector = a\n  local_topic = \"a/#\"\n  parameters {topic = \"${topic}\", payload = \"${payload}\"}\n}\n"
		hivemq = "<hivemq>\n<mqtt-bridges><mqtt-bridge><id>a</id><remote-broker>\n<host>%s</host><port>1884</port></remote-broker><forwarded-topics><forwarded-topic><filters><mqtt-topic-filter>a/#</mqtt-topic-filter></filters></forwarded-topic></forwarded-topics></mqtt-bridge></mqtt-bridges></hivemq>\n"
	)
	for _, c := range []struct{ format, configuration, host, want string }{
		{"mosquitto", "connection a\naddress %s:1884\ntopic a/# out\n", "localhost", "line 2: address"},
		{"mosquitto", "connection a\naddress broker.example %s:1884\ntopic a/# out\n", "127.0.0.1", "line 2: address"},
		{"mosquitto", "connection a\naddress %s:1884\ntopic a/# out\n", "[::1]", "line 2: address"},
		{"mosquitto", "connection a\naddress %s:1884\ntopic a/# out\n", "0.0.0.0", "line 2: address"},
		{"nanomq", nanomq, "LOCALHOST", "line 2: bridges.mqtt.a.server"},
		{"nanomq", nanomq, "127.1.2.3", "line 2: bridges.mqtt.a.server"},
		{"nanomq", "bridge.mqtt.a.address=mqtt-tcp://%s:1884\nbridge.mqtt.a.forwards=a/#\n", "localhost", "line 1: bridge.mqtt.a.address"},
		{"emqx", emqx, "localhost", "line 2: connectors.mqtt.a.server"},
		{"emqx", emqx, "[::]", "line 2: connectors.mqtt.a.server"},
		{"hivemq-edge", hivemq, "broker.localhost", "line 3: mqtt-bridge.remote-broker.host"},
		{"hivemq-edge", hivemq, "localhost.", "line 3: mqtt-bridge.remote-broker.host"},
	} {
		messages, manifests := notesOf(t, c.format, strings.Replace(c.configuration, "%s", c.host, 1))
		field := "spec.remote.primary.url"
		if strings.Contains(c.configuration, "broker.example") {
			field = "spec.remote.backups[0].url"
		}
		want := c.want + ": note: " + strings.Trim(c.host, "[]") + " is the pod of the bridge itself if the bridge runs in a cluster; set " + field + " to the name of the Service or host of this server"
		if !strings.Contains(messages, want) {
			t.Errorf("%s: the messages lack %q:\n%s", c.format, want, messages)
		}
		if flat := strings.ReplaceAll(manifests, "\n#  ", ""); !strings.Contains(flat, "# "+want) {
			t.Errorf("%s: the comments of the manifest lack %q:\n%s", c.format, want, manifests)
		}
	}
	for _, host := range []string{"broker.example", "localhost.example", "[2001:db8::1]", "192.0.2.1"} {
		if messages, _ := notesOf(t, "mosquitto", "connection a\naddress "+host+":1883\ntopic a/# out\n"); strings.Contains(messages, "pod of the bridge") {
			t.Errorf("%s: %s", host, messages)
		}
	}
}

func TestImport_LocalIsThePodItself_IsNoted(t *testing.T) {
	const configuration = "connection a\naddress broker.example\ntopic a/# out\n"
	const want = "--local: note: localhost is the pod of the bridge itself if the bridge runs in a cluster; set spec.local.primary.url to the name of the Service or host of this server"
	if messages, _ := notesOf(t, "mosquitto", configuration, "--local", "mqtt://localhost:1883"); !strings.Contains(messages, want) {
		t.Errorf("the messages lack %q:\n%s", want, messages)
	}
	if messages, _ := notesOf(t, "mosquitto", configuration, "--local", "mqtt://mosquitto.plant.svc:1883"); strings.Contains(messages, "pod of the bridge") {
		t.Errorf("a note about a Service:\n%s", messages)
	}
}

// A listener of Mosquitto with the port 0 is a Unix socket, which the bridge cannot use.
func TestImport_UnixSocket_IsNotTheLocalServer(t *testing.T) {
	_, manifests := notesOf(t, "mosquitto", "listener 0 /run/mosquitto.sock\nlistener 1884\nconnection a\naddress broker.example\ntopic a/# out\n")
	if !strings.Contains(manifests, `url: "mqtt://localhost:1884"`) {
		t.Errorf("the local server is not the listener with a port:\n%s", manifests)
	}
}

// Each value that the manifest has in another form is named with its line.
func TestImport_ChangedValue_IsNamedWithLine(t *testing.T) {
	const (
		mosquitto = "connection a\naddress broker.example\ntopic a/# out\n"
		nanomq    = "bridges.mqtt.a {\n  server = \"mqtt-tcp://broker.example:1883\"\n  proto_ver = 5\n  forwards = [{local_topic = \"a/#\", remote_topic = \"\"}]\n"
		emqx      = "actions.mqtt.a {connector = a, local_topic = \"a/#\", parameters {topic = \"${topic}\", payload = \"${payload}\"}}\nconnectors.mqtt.a {\n  server = \"broker.example\"\n"
	)
	for _, c := range []struct{ format, configuration, want string }{
		{"mosquitto", mosquitto + "keepalive_interval 1\n", "line 4: keepalive_interval: note: keepAliveSeconds is 5, as Mosquitto uses 5 seconds for shorter times"},
		{"mosquitto", mosquitto + "restart_timeout 0 30\n", "line 4: restart_timeout: note: the first pause is 1 second, as Mosquitto uses 1 second for 0"},
		{"mosquitto", mosquitto + "restart_timeout 4000\n", "line 4: restart_timeout: changed: the first pause of the bridge is at most 60 seconds"},
		{"mosquitto", mosquitto + "bridge_max_packet_size 0\n", "line 4: bridge_max_packet_size: changed: 0 is no limit in Mosquitto; the bridge has always a limit, maximumPacketSize, 32Mi by default"},
		{"mosquitto", strings.Replace(mosquitto, "example", "example broker.example:1883", 1), "line 2: address: note: mqtt://broker.example:1883 is listed twice; the manifest has it once"},
		{"nanomq", nanomq + "  keepalive = \"1500ms\"\n}\n", "line 5: bridges.mqtt.a.keepalive: note: NanoMQ reads 1500ms as 90000 seconds"},
		{"nanomq", nanomq + "  backoff_max = \"2500ms\"\n}\n", "line 5: bridges.mqtt.a.backoff_max: note: NanoMQ reads 2500ms as 150000 seconds"},
		{"nanomq", nanomq + "  conn_properties = {\n    maximum_packet_size = 0\n  }\n}\n", "line 6: bridges.mqtt.a.conn_properties.maximum_packet_size: changed: 0 is no limit in NanoMQ"},
		{"emqx", emqx + "  keepalive = \"1500ms\"\n}\n", "line 4: connectors.mqtt.a.keepalive: changed: 1500ms becomes 2 seconds, because the bridge has whole seconds"},
		{"emqx", emqx + "  max_inflight = 0\n}\n", "line 4: connectors.mqtt.a.max_inflight: left out: it must be from 1 to 65535; the bridge uses its default"},
		{"emqx", emqx + "  ssl {enable = true\n    server_name_indication = disable\n  }\n}\n", "line 5: connectors.mqtt.a.ssl.server_name_indication: left out: the bridge always sends the name of the server, and verifies the name in its certificate"},
	} {
		if messages, _ := notesOf(t, c.format, c.configuration); !strings.Contains(messages, c.want) {
			t.Errorf("the messages lack %q:\n%s", c.want, messages)
		}
	}
}

// Mosquitto reads the rest of the line as the value of a text, and the first word as the value of a number or a
// boolean.
func TestImport_CommentAfterMosquittosValue_IsReadAsMosquittoDoes(t *testing.T) {
	messages, manifests := notesOf(t, "mosquitto", `allow_anonymous false # not here
queue_qos0_messages true # keep
connection a
address broker.example # the second site
remote_username plant # the user
remote_password s3cret # the password
remote_clientid a#b
keepalive_interval 30 # seconds
cleansession false # keep the session
start_type automatic # always
topic a/# out # all
`)
	for _, want := range []string{
		`value: "plant # the user"`, `password: "s3cret # the password"`, "clientID: \"a#b\"\n", "keepAliveSeconds: 30\n", "cleanSession: false\n", "qos0WhenDown: Buffer\n",
	} {
		if !strings.Contains(manifests, want) {
			t.Errorf("the manifests lack %q:\n%s", want, manifests)
		}
	}
	const reason = ": note: the text from # on belongs to the value, because Mosquitto has comments only in lines of their own; remove it from the manifest if it is a comment"
	for _, want := range []string{"line 5: remote_username" + reason, "line 6: remote_password" + reason, "line 1: allow_anonymous: note: the bridge connects"} {
		if !strings.Contains(messages, want) {
			t.Errorf("the messages lack %q:\n%s", want, messages)
		}
	}
	if strings.Contains(messages, "s3cret") || strings.Contains(messages, "remote_clientid") {
		t.Errorf("the messages have a secret or a note about a # within a word:\n%s", messages)
	}
}

// NanoMQ reads the rest of the line as the value, too, in its format of lines. In its other format, # begins a
// comment.
func TestImport_CommentAfterNanoMQsValue_IsReadAsNanoMQDoes(t *testing.T) {
	messages, manifests := notesOf(t, "nanomq", `# a comment
bridge.mqtt.a.address=mqtt-tcp://broker.example:1883
bridge.mqtt.a.username=plant
bridge.mqtt.a.password=s3cret # the password
bridge.mqtt.a.forwards=a/#,b/#
`)
	const want = "line 4: bridge.mqtt.a.password: note: the text from # on belongs to the value, because NanoMQ has comments only in lines of their own; remove it from the manifest if it is a comment"
	if !strings.Contains(messages, want) || strings.Count(messages, "from # on") != 1 || !strings.Contains(manifests, `password: "s3cret # the password"`) {
		t.Errorf("the messages lack %q, or the password differs:\n%s\n%s", want, messages, manifests)
	}
	messages, manifests = notesOf(t, "nanomq", `bridges.mqtt.a {
  server = "mqtt-tcp://broker.example:1883"
  username = plant # the user
  password = "s3cret # all of it"
  forwards = [{local_topic = "a/#", remote_topic = ""}]
}
`)
	if strings.Contains(messages, "from # on") || !strings.Contains(manifests, "value: plant\n") || !strings.Contains(manifests, `password: "s3cret # all of it"`) {
		t.Errorf("the comment is not read as NanoMQ does:\n%s\n%s", messages, manifests)
	}
}
