import { createClient } from '../../index'

const client = createClient({ baseURL: 'https://example.com', wx: uni })

export async function calls(
  request: UniApp.RequestOptions,
  upload: UniApp.UploadFileOption,
  download: UniApp.DownloadFileOption,
  socket: UniApp.ConnectSocketOption
): Promise<void> {
  const res = await client.request(request)
  const uploaded = await client.uploadFile(upload)
  const downloaded = await client.downloadFile(download)
  const task: UniApp.SocketTask = await client.connectSocket(socket)
  task.onOpen(() => {})
  console.log(res.data, uploaded.data, downloaded.tempFilePath)
  client.request({ url: '/a', header: { n: 1 } })
  // @ts-expect-error
  client.request({ url: '/a', headers: { n: 1 } })
  // @ts-expect-error
  client.uploadFile({ url: '/up', filepath: 'x', name: 'file' })
}
