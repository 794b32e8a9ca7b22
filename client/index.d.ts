// The client's types need no other types. Where a platform is given as `wx`,
// calls take its option types, and sockets are its sockets.

/** What a login, renewal, logout, socket or session call was refused with. */
export interface GatewayError extends Error {
  errMsg: string
  /** The gateway's code, as `code_rejected` or `wechat_unavailable`. */
  error?: string
  statusCode?: number
  /** Seconds that the gateway asks to wait. */
  retryAfter?: number
  data?: any
  header?: Record<string, any>
}

// Platforms differ in what their results have besides.
interface Callbacks {
  success?: (res: any) => void
  fail?: (err: any) => void
  complete?: (res: any) => void
}

interface CommonOptions {
  /** A path that begins with `/`, or a URL that begins with `baseURL`. */
  url: string
  /** Sent with the call. The client sets `Authorization`. */
  header?: Record<string, any>
  /** Ends the whole call, its login included, in ms. Default: that of the client, for each time that it is sent. */
  timeout?: number
  /** Send without a token and without logging in, for what guests may see. */
  guest?: boolean
}

/** The options of wx.request, uni.request and Taro.request. */
export interface RequestOptions extends CommonOptions, Callbacks {
  data?: any
  /** `PATCH` is for platforms that have it; WeChat has not. */
  method?: 'PATCH' | 'OPTIONS' | 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'TRACE' | 'CONNECT'
  dataType?: string
  responseType?: string
  enableCache?: boolean
  enableHttp2?: boolean
  enableQuic?: boolean
  enableHttpDNS?: boolean
  httpDNSServiceId?: string
  httpDNSTimeout?: number
  enableChunked?: boolean
  enableProfile?: boolean
  forceCellularNetwork?: boolean
  redirect?: 'follow' | 'manual' | 'error'
  useHighPerformanceMode?: boolean
  sslVerify?: boolean
  withCredentials?: boolean
  firstIpv4?: boolean
  enableCookie?: boolean
  cloudCache?: object | boolean
  defer?: boolean
  mode?: string
  credentials?: string
  cache?: string
  retryTimes?: number
  jsonp?: boolean | string
  jsonpCache?: boolean | string
  tls?: any
}

/** The options of wx.uploadFile and its kin. */
export interface UploadOptions extends CommonOptions, Callbacks {
  filePath?: string
  name?: string
  fileName?: string
  formData?: Record<string, any>
  enableHttp2?: boolean
  enableProfile?: boolean
  enableQuic?: boolean
  useHighPerformanceMode?: boolean
  enableHttpDNS?: boolean
  httpDNSServiceId?: string
  withCredentials?: boolean
  fileType?: 'image' | 'video' | 'audio'
  file?: any
  files?: any[]
}

/** The options of wx.downloadFile and its kin. */
export interface DownloadOptions extends CommonOptions, Callbacks {
  filePath?: string
  enableHttp2?: boolean
  enableProfile?: boolean
  enableQuic?: boolean
  useHighPerformanceMode?: boolean
  enableHttpDNS?: boolean
  httpDNSServiceId?: string
  withCredentials?: boolean
}

/** The options of wx.connectSocket and its kin. */
export interface SocketOptions extends CommonOptions, Callbacks {
  protocols?: string[]
  method?: string
  tcpNoDelay?: boolean
  perMessageDeflate?: boolean
  forceCellularNetwork?: boolean
  multiple?: boolean
}

/** The options of wx.cloud.callContainer. */
export interface ContainerOptions extends Omit<RequestOptions, 'url' | 'redirect'> {
  /** A path; `/` in front is added if it is missing. */
  path: string
  followRedirect?: boolean
  /** As the header `X-WX-SERVICE`. */
  service?: string
  /** Accepted and not needed: the gateway is named in `baseURL`. */
  config?: { env?: string; [option: string]: any }
  verbose?: boolean
}

interface Result {
  statusCode: number
  header: Record<string, any>
  cookies?: string[]
  /** What the platform measured, if it was asked to. */
  profile?: any
  errMsg: string
  /** What else the platform gives. */
  [detail: string]: any
}

export interface RequestResult<T = any> extends Result {
  data: T
}

export interface UploadResult extends Result {
  data: string
}

/** A refusal of the gateway has no file. */
export interface DownloadResult extends Result {
  tempFilePath: string
  filePath?: string
}

export interface ContainerResult<T = any> extends RequestResult<T> {
  cookies: string[]
  /** The `X-WX-Call-ID` or `X-Request-ID` of the answer; empty if it has none. */
  callID: string
}

type Listener = (res: any) => void

/**
 * A promise for the result, with the methods of wx's task. Their events are
 * those of the answer that the promise gives.
 */
export interface Call<T> extends Promise<T> {
  /** Ends the call now. */
  abort(): void
  onHeadersReceived(listener: Listener): void
  offHeadersReceived(listener?: Listener): void
  onChunkReceived(listener: Listener): void
  offChunkReceived(listener?: Listener): void
  onProgressUpdate(listener: Listener): void
  offProgressUpdate(listener?: Listener): void
}

/** wx's SocketTask. */
export interface SocketTask {
  send(options: { data: string | ArrayBuffer } & Callbacks): void
  close(options?: { code?: number; reason?: string } & Callbacks): void
  onOpen(listener: Listener): void
  onClose(listener: Listener): void
  onError(listener: Listener): void
  onMessage(listener: Listener): void
}

/** What a platform must have: `wx`, `uni` and `Taro` do. */
export interface Platform {
  login: Function
  request: Function
  uploadFile?: Function
  downloadFile?: Function
  connectSocket?: Function
  getStorageSync?: Function
  setStorageSync?: Function
  getEnterOptionsSync?: Function
  getLaunchOptionsSync?: Function
  getFileSystemManager?: Function
}

/** The sockets of a platform. */
type SocketOf<P> = P extends { connectSocket(options: any): infer R }
  ? [R] extends [PromiseLike<infer S>]
    ? S
    : R
  : SocketTask

export interface ClientOptions<P = Platform> {
  /** Where the gateway is, as `https://example.com`. */
  baseURL: string
  /** Where the gateway's routes are. Default: `/wechat` */
  prefix?: string
  /** The platform: `wx`, `uni` or `Taro`. Default: the global `wx` */
  wx?: P
  /** The Mini Program's AppID; needed only if the site serves several. */
  appid?: string
  /** The longest `Retry-After` that is waited for, in seconds. Default: 10 */
  maxRetryAfter?: number
  /** Ends what has no `timeout` of its own, each time that it is sent, in ms. Default: 60000, as with wx */
  timeout?: number
  /** Keep the cookies of the app's answers and send them again, as browsers do. Default: false */
  cookies?: boolean
  /**
   * Let the first request carry the login, where the site has `one_trip` on: one round trip less. Default: false
   */
  oneTrip?: boolean
}

/** What wx gives with encrypted data: wx.getWeRunData, wx.getGroupEnterInfo, a button's event. */
export interface EncryptedData {
  encryptedData?: string
  iv?: string
}

/** What the app passes to `/gateway/decrypt`, with the openid of its header. */
export interface OpenData {
  encrypted_data: string
  iv: string
}

/** What asks for a login, as `scan.describe` tells it. */
export interface ScanDescription {
  /** The user picks the one that the browser shows. */
  numbers: number[]
  /** As `Chrome, Windows`. */
  browser: string
  same_network: boolean
  /** Seconds that are left. */
  expires_in: number
}

/** Answers a browser that waits for a login. scene is that of the page's options. */
export interface Scan {
  describe(scene: string): Promise<ScanDescription>
  approve(scene: string, number: number): Promise<void>
  deny(scene: string): Promise<void>
}

export interface Client<Socket = SocketTask> {
  /** wx.request as the logged-in user. Every status is a result, as with wx. */
  request<T = any>(options: RequestOptions): Call<RequestResult<T>>
  /** wx.cloud.callContainer, for apps that leave Cloud Hosting. With callbacks it returns nothing. */
  callContainer<T = any>(options: ContainerOptions): Promise<ContainerResult<T>>
  /** What the app needs of encrypted data. A function is asked for it after the login, to which it then belongs. */
  openData(source: EncryptedData | (() => EncryptedData | PromiseLike<EncryptedData>)): Promise<OpenData>
  /**
   * Sends encrypted data to the app, by POST if nothing is said, beside `data`. If the app answers 409
   * `session_key_stale`, logs in anew; a function is then asked again and its data sent once more, a result of wx is
   * rejected with `session_key_stale`: ask for it again.
   */
  openData<T = any>(
    source: EncryptedData | (() => EncryptedData | PromiseLike<EncryptedData>),
    options: RequestOptions
  ): Promise<RequestResult<T>>
  uploadFile(options: UploadOptions): Call<UploadResult>
  downloadFile(options: DownloadOptions): Call<DownloadResult>
  /** Gives the platform's SocketTask; the token is tried on the gateway first. */
  connectSocket(options: SocketOptions): Promise<Socket>
  /** An address of a page of the site for `<web-view>`, where the user is logged in. It works once, for a minute. */
  webViewURL(path: string): Promise<string>
  /**
   * An address that works without a header, for `<image>` and `<video>`, for expiresIn seconds (default 300). What is
   * asked for at once is one request; an address is given again while half of its time is left.
   */
  signedURL(path: string, options?: { expiresIn?: number }): Promise<string>
  scan: Scan
  /** Logs in anew. Requests do so by themselves; this ends what logout began. */
  login(): Promise<{ token: string; expires_in: number }>
  /** Ends the session. Until login(), requests are sent as a guest's. */
  logout(): Promise<void>
  /** What is left of the session, in seconds. */
  session(): Promise<{ appid: string; expires_in: number; session_expires_in: number }>
}

export function createClient(options: ClientOptions & { wx?: undefined }): Client
export function createClient<P extends Platform>(options: ClientOptions<P>): Client<SocketOf<P>>

/** A header of a result; platforms spell names in upper or lower case. */
export function getHeader(res: { header?: any }, name: string): string | undefined

declare const api: { createClient: typeof createClient; getHeader: typeof getHeader }
export default api
