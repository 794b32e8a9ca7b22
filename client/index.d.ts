/** The options of a wx call, by its own names, and what the client adds. */
export interface CallOptions {
  /** A path that begins with `/`, or a URL that begins with `baseURL`. */
  url: string
  header?: Record<string, string>
  /** Send without a token and without logging in, for what guests may see. */
  guest?: boolean
  success?: (res: any) => void
  fail?: (err: any) => void
  complete?: (res: any) => void
  /** Every other option of wx.request, wx.uploadFile, … is passed on. */
  [option: string]: any
}

/** A promise for the result, with the methods of wx's RequestTask. */
export interface Call<T> extends Promise<T> {
  abort(): void
  onHeadersReceived(listener: (res: any) => void): void
  offHeadersReceived(listener?: (res: any) => void): void
  onChunkReceived(listener: (res: any) => void): void
  offChunkReceived(listener?: (res: any) => void): void
  onProgressUpdate(listener: (res: any) => void): void
  offProgressUpdate(listener?: (res: any) => void): void
}

export interface RequestResult<T = any> {
  data: T
  statusCode: number
  header: Record<string, string>
  cookies?: string[]
  errMsg: string
}

export interface UploadResult {
  data: string
  statusCode: number
  header?: Record<string, string>
  errMsg: string
}

export interface DownloadResult {
  tempFilePath: string
  filePath?: string
  statusCode: number
  header?: Record<string, string>
  errMsg: string
}

/** The options of wx.cloud.callContainer. */
export interface ContainerOptions {
  /** A path; `/` in front is added if it is missing. */
  path: string
  method?: string
  /** `X-WX-SERVICE` and `X-WX-EXCLUDE-CREDENTIALS` mean what they mean there. */
  header?: Record<string, string>
  data?: any
  dataType?: string
  responseType?: string
  timeout?: number
  followRedirect?: boolean
  /** As the header `X-WX-SERVICE`. */
  service?: string
  /** Accepted and not needed: the gateway is named in `baseURL`. */
  config?: { env?: string; [option: string]: any }
  success?: (res: ContainerResult) => void
  fail?: (err: any) => void
  complete?: (res: any) => void
  [option: string]: any
}

export interface ContainerResult<T = any> extends RequestResult<T> {
  cookies: string[]
  /** The `X-WX-Call-ID` or `X-Request-ID` of the answer; empty if it has none. */
  callID: string
}

/** What a login, renewal, logout or session call was refused with. */
export interface GatewayError extends Error {
  errMsg: string
  /** The gateway's code, as `code_rejected` or `wechat_unavailable`. */
  error?: string
  statusCode?: number
  /** Seconds the gateway asks to wait. */
  retryAfter?: number
  data?: any
  header?: Record<string, string>
}

export interface ClientOptions {
  /** Where the gateway is, as `https://example.com`. */
  baseURL: string
  /** Where the gateway's routes are. Default: `/wechat` */
  prefix?: string
  /** The platform: `wx`, `uni` or `Taro`. Default: the global `wx` */
  wx?: any
  /** The Mini Program's AppID; needed only if the site serves several. */
  appid?: string
  /** The longest `Retry-After` that is waited for, in seconds. Default: 10 */
  maxRetryAfter?: number
}

export interface Client {
  /** wx.request as the logged-in user. Every status is a result, as with wx. */
  request<T = any>(options: CallOptions): Call<RequestResult<T>>
  /** wx.cloud.callContainer, for apps that leave Cloud Hosting. With callbacks it returns nothing. */
  callContainer<T = any>(options: ContainerOptions): Promise<ContainerResult<T>>
  uploadFile(options: CallOptions & { filePath: string; name: string }): Call<UploadResult>
  downloadFile(options: CallOptions): Call<DownloadResult>
  /** Gives wx's SocketTask; the token is tried on the gateway first. */
  connectSocket(options: CallOptions): Promise<any>
  /** Logs in anew. Requests do so by themselves; this ends what logout began. */
  login(): Promise<{ token: string; expires_in: number }>
  /** Ends the session. Until login(), requests are sent as a guest's. */
  logout(): Promise<void>
  /** What is left of the session, in seconds. */
  session(): Promise<{ appid: string; expires_in: number; session_expires_in: number }>
}

export function createClient(options: ClientOptions): Client

/** A header of a result; platforms spell names in upper or lower case. */
export function getHeader(res: { header?: Record<string, string> }, name: string): string | undefined
