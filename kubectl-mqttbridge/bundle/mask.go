// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bundle makes the support bundle of the command report.
//
// It promises that the bundle contains no secret:
//   - It reads no Secret, and of ConfigMaps only those with manifests of bridges.
//   - [Masker.Object] removes from objects each value that a user could have chosen as a secret:
//     user names, values of headers, user properties and environment variables, arguments of other
//     containers, annotations and labels, and the managed fields.
//   - [Masker.Text] removes from logs and all other texts the values that were removed from objects,
//     the secret parts of URLs, and texts that look like passwords and tokens.
//
// Topics, client identifiers, names and addresses of servers remain, because a bundle without them
// does not help.
package bundle

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// mask replaces a secret.
const mask = "[masked]"

// A Masker removes secrets. It learns the values that it removes from objects, so that objects must
// be masked before texts that may repeat the values.
type Masker struct {
	learned map[string]bool
	// kept are names of objects, which are not learned: texts without them are of no use.
	kept map[string]bool
	// replacer masks the learned values in all their written forms. It is nil after a change.
	replacer *strings.Replacer
}

// NewMasker returns a masker that keeps names in texts.
func NewMasker(names ...string) *Masker {
	m := &Masker{learned: map[string]bool{}, kept: map[string]bool{}}
	for _, name := range names {
		m.kept[name] = true
	}
	return m
}

// shortest is the length of the shortest value that is removed from texts. The value of a field is
// always removed; but a text would lose each digit if an environment variable has the value 1.
const shortest = 6

// hide returns the mask for a value, and learns the value.
func (m *Masker) hide(value string) string {
	if value == "" || value == mask {
		return value
	}
	for _, line := range strings.Split(value, "\n") {
		line = strings.TrimSpace(line)
		m.learn(line)
		m.learnParts(line)
	}
	return mask
}

// learn learns a value, unless it is too short.
func (m *Masker) learn(value string) {
	if len(value) >= shortest && !m.learned[value] && !m.kept[value] {
		m.learned[value], m.replacer = true, nil
	}
}

// credentials matches a value of the header Authorization.
var credentials = regexp.MustCompile(`(?i)^(?:Basic|Bearer|Token|ApiKey|Digest|Negotiate|SharedAccessSignature)[ \t]+(.+)$`)

// shortestPart is the length of the shortest part of a list of pairs that is learned: most parts are no secrets.
const shortestPart = 8

// learnParts learns the parts of a value that a text may repeat alone: the login in a URL, the credentials
// of a header, and the values of pairs, as in a signature or a list of headers.
func (m *Masker) learnParts(value string) {
	m.url(value)
	if found := credentials.FindStringSubmatch(value); found != nil {
		m.learn(found[1])
		if login, err := base64.StdEncoding.DecodeString(found[1]); err == nil && utf8.Valid(login) {
			_, password, _ := strings.Cut(string(login), ":")
			m.learn(string(login))
			m.learn(password)
		}
	}
	for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(" ,;&", r) }) {
		_, text, found := strings.Cut(part, "=")
		if !found || len(text) < shortestPart {
			continue
		}
		text = strings.Trim(text, `"`)
		m.learn(text)
		if plain, err := url.PathUnescape(text); err == nil && credentials.MatchString(plain) {
			m.learn(credentials.FindStringSubmatch(plain)[1])
		}
	}
}

// hideAll replaces all strings in a value.
func (m *Masker) hideAll(value any) any { return eachText(value, m.hide) }

// eachText replaces each string in the JSON form of a value by the result of change, and returns the value.
func eachText(value any, change func(string) string) any {
	switch value := value.(type) {
	case string:
		return change(value)
	case []any:
		for i := range value {
			value[i] = eachText(value[i], change)
		}
	case map[string]any:
		for key := range value {
			value[key] = eachText(value[key], change)
		}
	case embedded:
		eachText(map[string]any(value), change)
	}
	return value
}

// embedded is the manifest of a bridge that another object has as a text. It becomes a text again when all values are
// learned, because YAML breaks lines and escapes characters.
type embedded map[string]any

// MarshalJSON returns the manifest as a text in YAML.
func (e embedded) MarshalJSON() ([]byte, error) {
	text, err := yaml.Marshal(map[string]any(e))
	if err != nil {
		return nil, err
	}
	return json.Marshal(string(text))
}

// ourContainers are the containers whose command and arguments this project writes.
var ourContainers = []string{"bridge-runner", "manager"}

// Masked returns an object of the API in its JSON form, without secrets.
func (m *Masker) Masked(object any) (map[string]any, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	m.Object(fields)
	return fields, nil
}

// Object removes secrets from an object in its JSON form, in place.
func (m *Masker) Object(object map[string]any) {
	m.object("", object)
}

// object masks the fields of an object that is the value of the field called parent.
func (m *Masker) object(parent string, object map[string]any) {
	delete(object, "managedFields")
	container, _ := object["name"].(string)
	for key, value := range object {
		switch key {
		case "annotations", "labels", "matchLabels":
			m.keyed(value)
		case "value", "podAnnotations", "podLabels", "volumeAttributes":
			object[key] = m.hideAll(value)
		case "data", "binaryData", "stringData":
			m.data(value)
		case "command", "args":
			if parent == "exec" || !slices.Contains(ourContainers, container) {
				object[key] = m.hideAll(value)
				continue
			}
			m.list(key, value)
		case "url", "endpoint":
			object[key] = m.url(value)
		default:
			m.any(key, value)
		}
	}
}

func (m *Masker) any(key string, value any) {
	switch value := value.(type) {
	case map[string]any:
		m.object(key, value)
	case []any:
		m.list(key, value)
	}
}

func (m *Masker) list(key string, value any) {
	items, _ := value.([]any)
	for i := range items {
		m.any(key, items[i])
	}
}

// knownKeys are the labels and annotations that the project and Kubernetes write. A key that ends
// with a slash stands for all keys that begin with it. The hashes of the spec and of the pod template are
// not among them: a reader who has the rest of the spec could find a short secret by its hash.
var knownKeys = []string{
	"app.kubernetes.io/", "deployment.kubernetes.io/", "pod-template-hash", "kubernetes.io/metadata.name",
	"controller.kubernetes.io/pod-deletion-cost", "kubectl.kubernetes.io/restartedAt", "kubectl.kubernetes.io/default-container",
	"mqttbridge.io/manifest-version", "mqttbridge.io/operator-revision", "mqttbridge.io/runners", "mqttbridge.io/health-before-rollout", "mqttbridge.io/bridge-uid",
	"mqttbridge.io/announced-events", "pv.kubernetes.io/", "volume.kubernetes.io/",
}

// memberPrefix begins the annotations of a Lease with the members: addresses and fingerprints of
// public keys.
const memberPrefix = "mqttbridge.io/member-"

// keyed masks annotations or labels, unless their keys are known.
func (m *Masker) keyed(value any) {
	values, _ := value.(map[string]any)
	for key := range values {
		known := strings.HasPrefix(key, memberPrefix) || slices.ContainsFunc(knownKeys, func(k string) bool {
			return key == k || strings.HasSuffix(k, "/") && strings.HasPrefix(key, k)
		})
		switch {
		case strings.HasSuffix(key, "/last-applied-configuration"):
			text, _ := values[key].(string)
			m.manifest(text) // to learn its values; the bundle has the present manifest
			values[key] = mask
		case !known:
			values[key] = m.hideAll(values[key])
		}
	}
}

// data masks the data of a ConfigMap, except the manifest of a bridge.
func (m *Masker) data(value any) {
	values, _ := value.(map[string]any)
	for key, text := range values {
		values[key] = mask
		if text, ok := text.(string); ok && key == v1alpha1.ManifestKey {
			values[key] = m.manifest(text)
		}
	}
}

// manifest masks a manifest in YAML. A text that is no object is masked as a whole.
func (m *Masker) manifest(text string) any {
	var object map[string]any
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		return mask
	}
	m.Object(object)
	return embedded(object)
}

// url masks the secret parts of a URL, and learns them. A text that is no URL remains.
func (m *Masker) url(value any) any {
	text, ok := value.(string)
	if !ok || !strings.Contains(text, "://") {
		return value
	}
	_, rest, _ := strings.Cut(text, "://")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		m.hide(rest[:at])
		_, password, _ := strings.Cut(rest[:at], ":")
		m.hide(password)
	}
	if _, query, ok := strings.Cut(rest, "?"); ok {
		m.hide(query)
		for part := range strings.SplitSeq(query, "&") {
			_, value, _ := strings.Cut(part, "=")
			m.hide(value)
		}
	}
	return v1alpha1.PublicURL(text)
}
