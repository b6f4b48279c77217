// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package convert turns manifests that were written for releases up to 0.1 into manifests of
// this release. It changes names and forms, and keeps the rest, with order and comments. A manifest of this
// release stays as it is.
package convert

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Manifests converts the MQTTBridges in YAML documents, also those in lists. Other objects stay
// as they are. A bridge with YAML aliases is an error. namespace is the namespace of bridges whose manifest names none; it may be
// empty. notes are remarks for the user, one line each.
func Manifests(in []byte, namespace string) (out []byte, notes []string, err error) {
	var buf bytes.Buffer
	encoder := yaml.NewEncoder(&buf)
	encoder.SetIndent(2)
	decoder := yaml.NewDecoder(bytes.NewReader(in))
	written := false
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, fmt.Errorf("reading YAML: %w", manifest.WithoutAlias(err))
		}
		bridges := bridgesIn(&document)
		if line := aliasIn(&document); line > 0 && len(bridges) > 0 {
			return nil, nil, fmt.Errorf("line %d has a YAML alias (*), whose value may need other changes at this place than at its anchor (&); write the value in place of the alias", line)
		}
		for _, b := range bridges {
			more, err := convert(b, namespace)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", nameOf(b), err)
			}
			notes = append(notes, more...)
		}
		if isEmpty(&document) {
			continue
		}
		if err := encoder.Encode(&document); err != nil {
			return nil, nil, fmt.Errorf("writing YAML: %w", err)
		}
		written = true
	}
	if !written { // the encoder could not be closed
		return nil, notes, nil
	}
	if err := encoder.Close(); err != nil {
		return nil, nil, fmt.Errorf("writing YAML: %w", err)
	}
	return buf.Bytes(), notes, nil
}

// bridgesIn returns the MQTTBridges in a document.
func bridgesIn(n *yaml.Node) []*object {
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	o := objectOf(n)
	switch o.text("kind") {
	case "MQTTBridge":
		return []*object{o}
	case "List", "MQTTBridgeList":
		return slices.DeleteFunc(o.items("items"), func(item *object) bool { return item.text("kind") != "MQTTBridge" })
	}
	return nil
}

// isEmpty reports whether a document has neither a value nor comments, as after a marker at the end of a file.
func isEmpty(n *yaml.Node) bool {
	for _, x := range append([]*yaml.Node{n}, n.Content...) {
		if x.HeadComment+x.LineComment+x.FootComment != "" || x.Kind != yaml.DocumentNode && (x.Tag != "!!null" || x.Value != "") {
			return false
		}
	}
	return true
}

// aliasIn returns the line of the first alias in a node, 0 if it has none.
func aliasIn(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		return n.Line
	}
	for _, child := range n.Content {
		if line := aliasIn(child); line > 0 {
			return line
		}
	}
	return 0
}

func nameOf(b *object) string { return "MQTTBridge " + b.object("metadata").text("name") }

// convert converts one bridge.
func convert(b *object, namespace string) (notes []string, err error) {
	spec := b.object("spec")
	if spec == nil {
		return nil, errors.New("the manifest has no spec")
	}
	if spec.get("forwards") != nil || spec.get("subscriptions") != nil { // every bridge of before has one
		notes = keepClientIDs(b, namespace)
	}
	b.remove("status") // of the API server; it has another form now
	spec.rename("forwards", "localToRemote")
	spec.rename("subscriptions", "remoteToLocal")
	for _, direction := range []string{"localToRemote", "remoteToLocal"} {
		nameRules(spec.items(direction))
	}
	if policy := spec.object("delivery").remove("qos0WhenDown"); policy != nil {
		spec.child("buffer").set("qos0WhenDown", policy)
		if len(spec.object("delivery").node.Content) == 0 {
			spec.remove("delivery")
		}
	}
	for _, name := range []string{"local", "remote"} {
		side := spec.object(name)
		if err := convertSide(side); err != nil {
			return nil, fmt.Errorf("spec.%s: %w", name, err)
		}
		note, err := preferServer(b, name, side)
		if err != nil {
			return nil, fmt.Errorf("spec.%s: %w", name, err)
		}
		notes = append(notes, note...)
	}
	return notes, nil
}

// nameRules gives a name to the rules whose default name, the filter, another rule has, too.
func nameRules(rules []*object) {
	filters := map[string]bool{}
	for _, r := range rules {
		filter := r.text("filter")
		if filters[filter] && r.text("name") == "" {
			topic := r.text("topic")
			if topic == "" {
				topic = v1alpha1.DefaultTopic
			}
			r.set("name", text(filter+" to "+topic))
		}
		filters[filter] = true
	}
}

func convertSide(side *object) error {
	for _, o := range append([]*object{side, side.object("primary")}, side.items("backups")...) {
		convertCredentials(o)
		convertCredentials(o.object("proxy"))
		convertTLS(o.object("tls"))
	}
	seconds := side.remove("sessionExpirySeconds")
	if seconds == nil {
		return nil
	}
	n, err := strconv.ParseUint(seconds.Value, 10, 32)
	if err != nil {
		return fmt.Errorf("sessionExpirySeconds: %q is not a number of seconds", seconds.Value)
	}
	expiry := fmt.Sprintf("%ds", n)
	if n == 1<<32-1 {
		expiry = "Never"
	}
	side.set("sessionExpiry", text(expiry))
	return nil
}

// convertCredentials turns the Secret with the keys username and password into a reference to
// each key.
func convertCredentials(o *object) {
	credentials := o.object("credentials")
	if secret := credentials.remove("secretRef"); secret != nil {
		credentials.set("username", reference("secretKeyRef", secret))
		credentials.set("password", reference("secretKeyRef", secret))
	}
}

func convertTLS(tls *object) {
	if ca := objectOf(tls.remove("caRef")); ca != nil {
		kind := "secretKeyRef"
		if ca.text("kind") == "ConfigMap" {
			kind = "configMapKeyRef"
		}
		tls.set("ca", reference(kind, ca.node))
	}
	if secret := tls.remove("certSecretRef"); secret != nil {
		tls.set("certificate", reference("secretKeyRef", secret))
		tls.set("key", reference("secretKeyRef", secret))
	}
}

// reference returns a reference to the key of an object whose name an old reference holds. The
// key is the default of its place.
func reference(kind string, old *yaml.Node) *yaml.Node {
	return mapping(text(kind), mapping(text("name"), text(objectOf(old).text("name"))))
}

// keepClientIDs writes the default client identifiers of before into the manifest. The defaults
// have changed, and with another identifier the messages would be lost that the servers keep
// in the sessions of the bridge.
func keepClientIDs(b *object, namespace string) (notes []string) {
	metadata := b.object("metadata")
	if own := metadata.text("namespace"); own != "" {
		namespace = own
	}
	for _, name := range []string{"local", "remote"} {
		side := b.object("spec").object(name)
		switch {
		case side == nil || side.text("clientID") != "":
		case namespace == "":
			notes = append(notes, fmt.Sprintf("%s: spec.%s has no clientID, and its default has changed; to keep the session on the servers and the messages in it, convert again with --namespace", nameOf(b), name))
		default:
			side.set("clientID", text(clientIDBefore(namespace, metadata.text("name"), name)))
		}
	}
	return notes
}

// clientIDBefore returns the default client identifier of release 0.1.
func clientIDBefore(namespace, name, side string) string {
	const longest = 23 // the longest identifier that every MQTT 3.1.1 server accepts
	sum := sha256.Sum256([]byte(namespace + "/" + name + "/" + side))
	hash := hex.EncodeToString(sum[:4])
	plain := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}, name)
	return plain[:min(len(plain), longest-len(hash))] + hash
}

// preferServer turns the annotation that requested a server of a side into preferredServer.
func preferServer(b *object, name string, side *object) (notes []string, err error) {
	metadata := b.object("metadata")
	annotations := metadata.object("annotations")
	request := annotations.remove("mqttbridge.io/switch-" + name)
	if request == nil {
		return nil, nil
	}
	if len(annotations.node.Content) == 0 {
		metadata.remove("annotations")
	}
	words := strings.Fields(request.Value)
	if len(words) == 0 {
		return nil, nil
	}
	server, err := serverName(side, words[0])
	if err != nil {
		return nil, err
	}
	preferred := mapping(text("name"), text(server))
	if slices.Contains(words[1:], "force") {
		objectOf(preferred).set("force", boolean(true))
	}
	side.set("preferredServer", preferred)
	return []string{fmt.Sprintf("%s: the annotation mqttbridge.io/switch-%s is now spec.%s.preferredServer, with the server's name %s", nameOf(b), name, name, server)}, nil
}

// serverName returns the name that a server has now. Before, the default names were primary,
// backup-1, backup-2 and so on.
func serverName(side *object, before string) (string, error) {
	servers := objectOf(mapping()) // without the other fields, whose values may be hostile
	for _, key := range []string{"primary", "backups"} {
		if value := side.get(key); value != nil {
			servers.set(key, value)
		}
	}
	data, err := yaml.Marshal(servers.node)
	if err != nil {
		return "", fmt.Errorf("reading the servers: %w", err)
	}
	var s v1alpha1.Side
	if err := sigsyaml.Unmarshal(data, &s); err != nil {
		return "", fmt.Errorf("reading the servers: %w", err)
	}
	names := s.ServerNames()
	for i, server := range s.Servers() {
		old := server.Name
		switch {
		case old != "":
		case i == 0:
			old = "primary"
		default:
			old = fmt.Sprintf("backup-%d", i)
		}
		if old == before {
			return names[i], nil
		}
	}
	return "", fmt.Errorf("an annotation requests the server %q, which the side does not have; correct or remove the annotation", before)
}
