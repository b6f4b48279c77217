// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package guides

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestYourBroker_CommandsOfThePage_Work(t *testing.T) {
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	s := newShell(t, "your-broker.md", "mqtt://mosquitto.plant.svc:1883", local.URL(), "mqtt://mochi.example:1883", remote.URL())
	// The bridge has the sections of Mosquitto and of Mochi as its sides.
	manifest := "apiVersion: mqttbridge.io/v1alpha1\nkind: MQTTBridge\nmetadata: {name: plant-to-cloud}\nspec:\n"
	for _, b := range s.blocks {
		if b.language == "yaml" && (strings.Contains(b.text, "mosquitto.plant") || strings.Contains(b.text, "mochi")) {
			manifest += "  " + strings.ReplaceAll(strings.TrimSpace(b.text), "\n", "\n  ") + "\n"
		}
	}
	s.write("bridge.yaml", s.replace.Replace(manifest))
	out := s.run(0, s.count())
	if n := strings.Count(out, ": usable\n"); n != 4 {
		t.Errorf("%d servers are usable in the two checks, want 4:\n%s", n, out)
	}
	s.finish()
}

func TestYourCloud_CommandsOfThePage_Work(t *testing.T) {
	s := newShell(t, "your-cloud.md")
	pki := mqtttest.NewPKI(t)
	for _, name := range [][2]string{{"thing.pem.crt", "private.pem.key"}, {"client.pem", "client.key"}, {"device.pem", "device.key"}} {
		pair := pki.Client("plant1")
		s.write(name[0], string(pair.Cert))
		s.write(name[1], string(pair.Key))
	}
	s.writeFiles()
	out := s.run(0, s.count())
	if n := strings.Count(out, " is valid\n"); n != 5 {
		t.Errorf("%d manifests are valid, want 5:\n%s", n, out)
	}
	if want := `"devices/plant1/messages/events/sensor=t1&kind=temperature"`; !strings.Contains(out, want) {
		t.Errorf("the path of the topic is not %s:\n%s", want, out)
	}
	for _, b := range s.blocks {
		if b.language == "json" && !json.Valid([]byte(b.text)) {
			t.Errorf("%s:%d: the JSON is invalid", s.page, b.line)
		}
	}
	s.finish()
}

func TestTLS_CommandsOfThePage_Connect(t *testing.T) {
	const name = "node1.cloud.example"
	s := newShell(t, "tls.md")
	s.run(0, 1)
	read := func(file string) []byte {
		data, err := os.ReadFile(filepath.Join(s.dir, file))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{
		Name: "remote", TLS: &mqtttest.KeyPair{Cert: read("server.crt"), Key: read("server.key")},
		ClientCA: read("ca.crt"), Extra: "use_identity_as_username true",
	})
	s.replace = strings.NewReplacer("mqtt://mosquitto:1883", local.URL(), "mqtts://"+name+":8883", remote.URL(),
		"    tls:\n", "    tls:\n      serverName: "+name+"\n", "-connect "+name+":8883", "-connect "+remote.Address())
	s.writeFiles()
	out := s.run(1, s.count())
	for _, want := range []string{"remote server", "subject    CN=" + name, "issuer     CN=Plant CA\n", "configmap/cloud-ca configured", "Verify return code: 0 (ok)"} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands do not print %q:\n%s", want, out)
		}
	}
	// With the file of two authorities, and without the authority of the server.
	s.sh("cp ca.crt secrets/configMaps/cloud-ca/ca.crt && bin/bridge-runner check -f bridge.yaml --secrets ./secrets --connect")
	out = s.sh("cp new-ca.crt secrets/configMaps/cloud-ca/ca.crt && ! bin/bridge-runner check -f bridge.yaml --secrets ./secrets --connect")
	if !strings.Contains(out, v1alpha1.ReasonTLSFailed) || !strings.Contains(out, "signed by an unknown authority") {
		t.Errorf("the error of an unknown authority is\n%s", out)
	}
	s.finish()
}
