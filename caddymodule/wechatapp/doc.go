// Package wechatapp is the app `wechat`, which all sites of a process share: accounts
// and their secrets, the connection to WeChat, the keys that sign tokens, the host side
// of session stores, and the record of what happens, for metrics, log and events.
//
// Rooms that need the app get it by [Of], and ask it by its methods in host.go. It knows
// none of them: what it must do for one is registered by [OnProvision], [OnStart] and
// [WhileRunning].
package wechatapp
