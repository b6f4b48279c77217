// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// WebSocket adds headers and a query to the HTTP request that opens a WebSocket connection.
// Values from Secrets are read at each attempt to connect, so that a rotated value is used
// without a restart.
//
// +kubebuilder:validation:XValidation:rule="!has(self.queryFrom) || has(self.queryFrom.secretKeyRef.key)",fieldPath=".queryFrom.secretKeyRef.key",reason=FieldValueRequired,message="the reference needs the key of the Secret that holds the value; set key"
type WebSocket struct {
	// headers are added to the request, such as Authorization or x-api-key. Each name may
	// occur once; upper and lower case are not distinguished. Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(h, self.exists_one(o, o.name.lowerAscii() == h.name.lowerAscii()))",reason=FieldValueInvalid,message="two headers have the same name (upper and lower case are not distinguished); keep one of them"
	Headers []Header `json:"headers,omitempty"`

	// queryFrom names the key of a Secret that holds a query, such as token=abc&x-id=1, in
	// percent encoding (a space is %20). The bridge appends it to the query in the URL,
	// separated by &. The reference requires a key. Default: none.
	// +optional
	QueryFrom *SecretSource `json:"queryFrom,omitempty"`
}

// Header is a header field of an HTTP request.
//
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.valueFrom)",reason=FieldValueInvalid,message="a header needs either value or valueFrom; set exactly one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.valueFrom) || has(self.valueFrom.secretKeyRef.key)",fieldPath=".valueFrom.secretKeyRef.key",reason=FieldValueRequired,message="the reference needs the key of the Secret that holds the value; set key"
type Header struct {
	// name is the name of the header field.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-!#$%&*+.^_|~0-9A-Za-z]+$')",reason=FieldValueInvalid,message="the name of a header must consist of letters, digits and the characters ! # $ % & * + - . ^ _ | ~, as in x-api-key"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(?i)^(host|upgrade|connection|content-length|transfer-encoding|trailer|te|expect|keep-alive|sec-websocket-.*)$')",reason=FieldValueInvalid,message="the headers that control the HTTP connection, such as Host, Upgrade, Connection, Content-Length and Sec-WebSocket-*, cannot be set; remove this header"
	Name string `json:"name,omitempty"`

	// value is the value of the header field. Every user who can read the bridge can read
	// it; put a secret into valueFrom.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",reason=FieldValueInvalid,message="the value of a header must not contain control characters, such as line ends; remove them"
	Value string `json:"value,omitempty"`

	// valueFrom names the key of a Secret that holds the value. The reference requires a
	// key. Line breaks at the end of the Secret's value are ignored.
	// +optional
	ValueFrom *SecretSource `json:"valueFrom,omitempty"`
}
