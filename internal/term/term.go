// Package term makes the words of others fit for a terminal: names, metadata, reasons
// and payloads come over the network, and a terminal obeys what it is sent.
//
//	fmt.Fprintln(w, term.Text(member.Name))
//	w.Write(term.AppendJSON(nil, line))
//
// What a terminal could act on, or show in another order or not at all, comes out as
// an escape sequence of Go or JSON: control characters of both sets, DEL,
// bidirectional marks, invisible format characters, separators other than the space, and
// bytes that are not UTF-8. All else passes unchanged, so that both functions may be applied
// to text that has passed before.
//
// The package is pure: no goroutine, lock, clock or socket.
package term

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// Text returns s with every harmful character as Go would write it in a quoted string:
// \n, \x1b, \u202e. A backslash of s stays as it is: the result is for reading, not for
// parsing.
func Text(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) })
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)+8), s[:i]...)
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, `\x`...)
			b = append(b, hex[s[i]>>4], hex[s[i]&15])
		case strconv.IsPrint(r):
			b = append(b, s[i:i+n]...)
		default:
			q := strconv.QuoteRune(r)
			b = append(b, q[1:len(q)-1]...)
		}
		i += n
	}
	return string(b)
}

// Cut returns [Text] of s, shortened to at most the given number of characters, the last of
// which is then "…". It works on what it keeps only, however long s is.
func Cut(s string, characters int) string {
	// An escape sequence has up to 10 characters and a character up to 4 bytes.
	const bytesPerCharacterMax = 4
	whole := len(s) <= bytesPerCharacterMax*characters
	if !whole {
		s = s[:bytesPerCharacterMax*characters]
	}
	t := Text(s)
	if whole && utf8.RuneCountInString(t) <= characters {
		return t
	}
	n := 0
	for i := range t {
		if n++; n == characters {
			return t[:i] + "…"
		}
	}
	return t
}

// AppendJSON appends the JSON text src to dst on one line, with every harmful character
// as a JSON escape: \u202e. It undoes the escapes of <, > and & that package
// encoding/json makes for browsers. Whoever parses it gets the same values as from src.
func AppendJSON(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '\\':
			var n int
			dst, n = appendEscape(dst, src[i:])
			i += n
		case c < ' ': // white space between values: nothing else is JSON
			dst = append(dst, ' ')
			i++
		case c < utf8.RuneSelf-1:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(src[i:])
			if r != utf8.RuneError && strconv.IsPrint(r) {
				dst = append(dst, src[i:i+n]...)
			} else {
				dst = appendUnicode(dst, r)
			}
			i += n
		}
	}
	return dst
}

// appendEscape appends the escape at the front of src, or what it stands for, and returns
// how long it was.
func appendEscape(dst, src []byte) (b []byte, n int) {
	if len(src) >= len(`\u0000`) {
		n = len(`\u0000`)
		switch string(src[:n]) {
		case `\u003c`:
			return append(dst, '<'), n
		case `\u003e`:
			return append(dst, '>'), n
		case `\u0026`:
			return append(dst, '&'), n
		}
	}
	// The character after a backslash goes with it, so that \\u003c stays. The digits of
	// another \u pass by themselves.
	n = 1
	if len(src) > 1 && ' ' <= src[1] && src[1] < utf8.RuneSelf-1 {
		n = 2
	}
	return append(dst, src[:n]...), n
}

// appendUnicode appends r as one escape of JSON, or as two where it needs a pair of
// surrogates (RFC 8259, section 7).
func appendUnicode(dst []byte, r rune) []byte {
	if r >= 1<<16 {
		r -= 1 << 16
		dst = appendUnicode(dst, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
